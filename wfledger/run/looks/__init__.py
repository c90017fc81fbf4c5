"""What people see: status, reasons, logs, the board, and notices."""
