"""A network whose encoder is a transformer over cubes of the window."""
