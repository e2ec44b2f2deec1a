"""Bases for admin pages that replace a model's list or its form, with one rule for permissions."""

from typing import Any, ClassVar

from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.functional import Promise

from assignments.admin.readonly import ReadOnlyAdmin


class PageAdmin(ReadOnlyAdmin):
    """An admin whose list is a page of its own: it renders ``template`` with ``title``, ``may`` and ``page_context``.

    ``buttons``: permissions of the model's app, one for each kind of button.
    """

    template: ClassVar[str]
    title: ClassVar[str | Promise]
    buttons: ClassVar[tuple[str, ...]] = ()

    def page_context(self, request: HttpRequest) -> dict[str, Any]:
        raise NotImplementedError

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Allow users with any button's permission, too."""
        return super().has_view_permission(request, obj) or any(self.may(request).values())

    def may(self, request: HttpRequest) -> dict[str, bool]:
        """Return which buttons the user may press."""
        return {each: request.user.has_perm(f"{self.opts.app_label}.{each}") for each in self.buttons}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": self.title,
            "opts": self.opts,
            "may": self.may(request),
            **self.page_context(request),
            **(extra_context or {}),
        }
        return TemplateResponse(request, self.template, context)


class RowPageAdmin(ReadOnlyAdmin):
    """An admin that renders ``row_template`` instead of a row's form. ``missing``: said if the row is gone."""

    row_template: ClassVar[str]
    missing: ClassVar[str | Promise]

    def row_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        raise NotImplementedError

    def row(self, request: HttpRequest, object_id: str) -> Model | None:
        found: Model | None = self.get_object(request, object_id)
        return found

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the page of one row, read-only."""
        if request.method not in {"GET", "HEAD"} or not self.has_view_permission(request):
            raise PermissionDenied
        row = self.row(request, object_id)
        if row is None:
            raise Http404(self.missing % {"id": object_id})
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            **self.row_context(request, row),
            **(extra_context or {}),
        }
        return TemplateResponse(request, self.row_template, context)
