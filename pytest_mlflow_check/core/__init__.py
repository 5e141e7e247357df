"""Records, findings, cases, errors, masking, text and files: what every layer may use."""
