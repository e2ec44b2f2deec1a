"""Shadow mode: records the control's decisions, and has V3 decide them again without writing."""
