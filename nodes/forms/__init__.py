"""Forms: `inventory` for what is declared (the admin), `acts` for what a person does (the pages)."""
