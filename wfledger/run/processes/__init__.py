"""Programs of others: started under limits, watched, shut in, ended with all they started."""
