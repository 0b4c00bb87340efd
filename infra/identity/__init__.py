"""Users whom an identity provider vouches for, such as Supabase Auth: their tokens, and the keys behind them."""
