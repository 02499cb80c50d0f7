"""The pages: what a request asks for, and what is answered. Decides nothing about notes."""
