//! Errors of the operating system as sentences: what was tried, where, why not, and what to do.

use std::fmt::Display;
use std::io;

/// One sentence about an error of the operating system: `what` was tried at `place`, the system's
/// own words, and what an operator can do. `what` reads after "can't", such as "read the settings
/// file".
///
/// ```
/// use gochat_infra::os::explain;
/// let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
/// let text = explain("read the settings file", "/etc/gochat.yaml", &missing);
/// assert!(text.starts_with("can't read the settings file /etc/gochat.yaml: "));
/// assert!(text.contains("check the path"));
/// ```
pub fn explain(what: &str, place: impl Display, error: &io::Error) -> String {
    let place = place.to_string();
    let gap = if place.is_empty() { "" } else { " " };
    match advice(error) {
        Some(advice) => format!("can't {what}{gap}{place}: {error}; {advice}"),
        None => format!("can't {what}{gap}{place}: {error}"),
    }
}

/// The same, as an error that is propagated: for `map_err`.
pub fn explained(what: &'static str, place: impl Display) -> impl FnOnce(io::Error) -> io::Error {
    move |error| {
        let text = explain(what, place, &error);
        io::Error::new(error.kind(), text)
    }
}

/// Whether an error says that there is no room: on the disk, or for this user or project.
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// What to do about it, where that is known.
fn advice(error: &io::Error) -> Option<&'static str> {
    use io::ErrorKind;
    const TOO_MANY_FILES: [i32; 2] = [23, 24];
    if error
        .raw_os_error()
        .is_some_and(|code| TOO_MANY_FILES.contains(&code))
    {
        return Some("raise the limit of open files (`ulimit -n`, LimitNOFILE)");
    }
    Some(match error.kind() {
        ErrorKind::NotFound => "check the path; relative ones begin in the working directory",
        ErrorKind::PermissionDenied => {
            "give the user of this process the right, or choose another place"
        }
        ErrorKind::AddrInUse => "another process listens there: stop it, or choose another port",
        ErrorKind::AddrNotAvailable => {
            "this machine has no such address: choose one of its own, or 0.0.0.0"
        }
        ErrorKind::StorageFull => "make room on that disk",
        ErrorKind::QuotaExceeded => "raise the quota, or make room",
        ErrorKind::ReadOnlyFilesystem => {
            "the file system is mounted read-only: mount it for writing"
        }
        ErrorKind::NotADirectory => "a part of the path is a file",
        ErrorKind::IsADirectory => "name a file, not a folder",
        ErrorKind::ConnectionRefused => "is the server started, and is the port right?",
        ErrorKind::ResourceBusy => "another process uses it",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_common_error_names_the_place_and_what_to_do() {
        use io::ErrorKind;
        for kind in [
            ErrorKind::NotFound,
            ErrorKind::PermissionDenied,
            ErrorKind::AddrInUse,
            ErrorKind::AddrNotAvailable,
            ErrorKind::StorageFull,
            ErrorKind::QuotaExceeded,
            ErrorKind::ReadOnlyFilesystem,
            ErrorKind::NotADirectory,
            ErrorKind::IsADirectory,
            ErrorKind::ConnectionRefused,
        ] {
            let text = explain("open the log", "/data/log", &kind.into());
            assert!(text.starts_with("can't open the log /data/log: "), "{text}");
            assert!(text.contains("; "), "{text}");
        }
        let text = explain("accept", "", &io::Error::from_raw_os_error(24));
        assert!(
            text.starts_with("can't accept: ") && text.contains("ulimit"),
            "{text}"
        );
        let kept = explained("read", "/x")(ErrorKind::NotFound.into());
        assert_eq!(kept.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_full_disk_is_told_from_other_errors() {
        assert!(is_full(&io::Error::from_raw_os_error(28)));
        assert!(is_full(&io::Error::from_raw_os_error(122)));
        assert!(!is_full(&io::ErrorKind::PermissionDenied.into()));
    }
}
