"""Contact Imports: a CSV of contacts becomes contacts, exactly once, with exact counts."""
