"""The suite: dcz beside everything a user would pick instead, on models published and made here."""
