"""`rheostat doctor`: what is reachable, lagging or misconfigured, and what to do about it."""
