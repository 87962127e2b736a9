//! Accounts: registering, signing in, guests, tokens, profile and search.

mod guest;
mod login;
mod profile;
mod register;
mod sessions;
mod tokens;
