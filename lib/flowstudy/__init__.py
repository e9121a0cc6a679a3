"""Fine-tune a small model, or prompt a large one? A study kit for low-code workflows."""
