"""Tables, plots and exports, made from records."""
