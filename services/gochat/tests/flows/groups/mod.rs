//! Groups: messages, members, roles, settings.

mod asks;
mod invitations;
mod large;
mod lifecycle;
mod links;
mod members;
mod messages;
mod muting;
mod roles;
mod sdk;
mod settings;
