"""Training losses: scriptable, one class each, injected into a method by its composer."""
