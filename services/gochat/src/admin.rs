//! The socket through which `gochat admin` reaches the running server.
//!
//! The socket's file belongs to the owner of the data folder and is for nobody else (mode 0600).

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use gochat_infra::rpc::{ServerConfig, serve_unix};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

/// Name of the socket in the data folder.
pub const SOCKET: &str = "admin.sock";

/// A bound socket that does not serve yet. Its file goes with it.
pub struct AdminSocket {
    listener: UnixListener,
    file: SocketFile,
}

struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl AdminSocket {
    /// Binds the socket of a data folder that this process owns; a file that a killed process left
    /// is replaced.
    ///
    /// # Errors
    /// A folder that takes no socket, for example because its path is longer than 90 bytes.
    pub fn bind(folder: &Path) -> io::Result<Self> {
        let path = folder.join(SOCKET);
        // Nobody can connect before the permissions are right: the name appears last.
        let fresh = folder.join("admin.new");
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&fresh)?;
        fs::set_permissions(&fresh, Permissions::from_mode(0o600))?;
        fs::rename(&fresh, &path)?;
        Ok(Self {
            listener,
            file: SocketFile(path),
        })
    }

    /// Serves until `stop`.
    ///
    /// # Errors
    /// Services that can't be put together.
    pub async fn run(self, services: Routes, stop: CancellationToken) -> Result<(), String> {
        let outcome = serve_unix(self.listener, services, ServerConfig::default(), stop).await;
        drop(self.file);
        outcome.map_err(|e| e.to_string())
    }
}
