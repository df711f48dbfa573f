"""For whoever writes a chapter: begin it, run it, and see what it lacks."""
