"""Groups, from signed statements alone: who holds which role when, and what that permits."""
