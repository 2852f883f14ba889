"""Who may come in: tokens, tickets, logins of people, and what ends them."""
