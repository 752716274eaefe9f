"""Forms: `inventory` for the admin, `actions` for operators, `filters` for lists of history, `outcomes` for reported calls."""
