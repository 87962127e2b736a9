//! Which pages of memory the kernel gives the process.

/// Keeps the kernel from giving this process huge pages (2 MiB) where it grows. The first touch of
/// a huge page stops the thread until all of it is zeroed: 5 ms where the host maps memory on
/// demand, on the thread that delivers messages. Small pages cost the same zeroing in steps of
/// microseconds, and memory that was not used is not held. Call it at the start of `main`.
pub fn use_small_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        // A kernel without huge pages has nothing to disable.
        tracing::debug!(%error, "huge pages stay as the system has them");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_process_gets_no_huge_pages() {
        use_small_pages();
        assert!(rustix::thread::transparent_huge_pages_are_disabled().unwrap());
    }
}
