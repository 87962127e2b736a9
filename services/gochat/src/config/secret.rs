//! The secret that signs tokens: given by the operator, or made once and kept beside the data.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use gochat_infra::os::explained;
use gochat_infra::shell::is_placeholder;
use rand::TryRngCore as _;
use rand::rngs::OsRng;

/// File in the data folder.
const FILE: &str = "jwt.secret";
/// Random bytes of a made secret.
const BYTES: usize = 48;
/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The operator's secret is too easy.
    #[error(
        "JWT_SECRET must be at least {} bytes of your own, not a sample value",
        im_logic::SECRET_MIN_BYTES
    )]
    Weak,
    /// The file can't be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The system has no randomness.
    #[error("the system gives no randomness: {0}")]
    Random(String),
}

/// The operator's secret (`JWT_SECRET`) if set, else the one in `dir`, made on first use and readable by its owner only.
///
/// # Errors
/// A weak secret, or a folder that can't be used.
pub fn load_or_create(dir: &Path, given: Option<String>) -> Result<String, SecretError> {
    if let Some(given) = given {
        let strong = given.len() >= im_logic::SECRET_MIN_BYTES && !is_placeholder(&given);
        return if strong {
            Ok(given)
        } else {
            Err(SecretError::Weak)
        };
    }
    let path = dir.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) if text.trim().len() >= im_logic::SECRET_MIN_BYTES => Ok(text.trim().to_owned()),
        // An empty or cut file is one that a crash left behind; nobody holds a token of it.
        Ok(_) => create(&path),
        Err(e) if e.kind() == io::ErrorKind::NotFound => create(&path),
        Err(e) => Err(explained("read the token secret", path.display())(e).into()),
    }
}

fn create(path: &Path) -> Result<String, SecretError> {
    let mut bytes = [0u8; BYTES];
    OsRng
        .try_fill_bytes(&mut bytes)
        .map_err(|e| SecretError::Random(e.to_string()))?;
    let text: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    store(path, &text).map_err(explained("keep the token secret", path.display()))?;
    Ok(text)
}

/// Writes the secret so that a crash leaves the old file or the new one.
fn store(path: &Path, text: &str) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_made_secret_is_kept_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let made = load_or_create(dir.path(), None).unwrap();
        assert_eq!(load_or_create(dir.path(), None).unwrap(), made);
        let mode = fs::metadata(dir.path().join(FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn an_error_of_the_system_names_the_file_and_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("none");
        let text = load_or_create(&missing, None).unwrap_err().to_string();
        assert!(text.contains("none/jwt.secret"), "{text}");
        assert!(text.contains("check the path"), "{text}");
    }

    #[test]
    fn weak_and_sample_secrets_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        for weak in [
            "short",
            "changeme",
            "your-256-bit-secret-your-256-bit-secret",
        ] {
            assert!(
                load_or_create(dir.path(), Some(weak.into())).is_err(),
                "{weak}"
            );
        }
        assert!(load_or_create(dir.path(), Some("k".repeat(40))).is_ok());
    }
}
