"""What people and file workers did to files themselves, taken in or put back."""
