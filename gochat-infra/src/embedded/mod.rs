//! Adapters that need nothing but this process and a disk.

mod arrivals;
pub mod cache;
pub mod coord;
pub mod counter;
pub mod disk;
pub mod floor;
pub mod log;
pub mod presence;
pub mod sqlite;
