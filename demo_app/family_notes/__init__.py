"""The family-notes demo. There is no app here yet: this keeps its place in the distribution."""
