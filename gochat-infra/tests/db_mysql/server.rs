//! MariaDB servers of a test's own: to be killed, to turn read-only, to follow each other.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable as _;

/// A server in a folder of its own, on a port of its own. Killed when dropped.
pub(crate) struct Server {
    folder: tempfile::TempDir,
    pub(crate) port: u16,
    id: u32,
    child: Option<Child>,
}

/// May do anything; for the test itself.
pub(crate) const ADMIN: &str = "boss:hush";
/// What services have: everything in their databases, nothing beyond.
pub(crate) const USER: &str = "gochat:hush";

impl Server {
    /// A new server that answers.
    pub(crate) async fn start(id: u32) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        // One at a time: each takes a good part of the machine, and of its asynchronous I/O.
        static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let turn = TURN.lock().await;
        let made = Command::new("mariadb-install-db")
            .env("TMPDIR", folder.path())
            .arg("--no-defaults")
            .arg(format!("--datadir={}", data.display()))
            .args(["--user=root", "--skip-test-db", "--innodb-use-native-aio=0"])
            .arg("--auth-root-authentication-method=normal")
            .output()
            .expect("MariaDB is installed; `make infra-up` does that");
        assert!(
            made.status.success(),
            "the data folder can't be prepared: {}{}",
            String::from_utf8_lossy(&made.stdout),
            String::from_utf8_lossy(&made.stderr)
        );
        drop(turn);
        let setup = "CREATE USER IF NOT EXISTS boss@'127.0.0.1' IDENTIFIED BY 'hush';\n\
             GRANT ALL ON *.* TO boss@'127.0.0.1' WITH GRANT OPTION;\n\
             CREATE USER IF NOT EXISTS gochat@'127.0.0.1' IDENTIFIED BY 'hush';\n\
             GRANT ALL ON `gochat\\_%`.* TO gochat@'127.0.0.1';\n";
        std::fs::write(folder.path().join("init.sql"), setup).expect("written");
        let mut server = Self {
            folder,
            port: gochat_infra::listen::free_ports(1).expect("a port")[0],
            id,
            child: None,
        };
        server.resume().await;
        server
    }

    pub(crate) fn url(&self, who: &str) -> String {
        format!("mysql://{who}@127.0.0.1:{}", self.port)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts it on the data it has, and waits until it answers.
    pub(crate) async fn resume(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let log = std::fs::File::create(self.path("log")).expect("a log");
        let child = Command::new("mariadbd")
            // A server that starts deletes the temporary tables it finds. In the folder of all
            // processes they are those of running servers, which may crash then.
            .env("TMPDIR", self.folder.path())
            .arg("--no-defaults")
            .arg("--user=root")
            .arg(format!("--datadir={}", self.path("data").display()))
            .arg(format!("--socket={}", self.path("sock").display()))
            .arg(format!("--pid-file={}", self.path("pid").display()))
            .arg(format!("--init-file={}", self.path("init.sql").display()))
            .arg(format!("--port={}", self.port))
            .arg(format!("--server-id={}", self.id))
            .args([
                "--bind-address=127.0.0.1",
                "--skip-name-resolve",
                "--log-bin=bin",
            ])
            .args([
                "--innodb-buffer-pool-size=64M",
                "--innodb-log-file-size=48M",
            ])
            .arg("--innodb-use-native-aio=0")
            .args(["--binlog-format=ROW", "--innodb-flush-log-at-trx-commit=1"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("mariadbd starts");
        self.child = Some(child);
        let deadline = Instant::now() + Duration::from_secs(60);
        while mysql_async::Conn::from_url(self.url(USER)).await.is_err() {
            assert!(Instant::now() < deadline, "the server never answered");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// SIGKILL, as in a crash.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            child.wait().expect("it is gone");
        }
    }

    /// A statement as the administrator.
    pub(crate) async fn admin(&self, statement: &str) {
        let mut conn = mysql_async::Conn::from_url(self.url(ADMIN))
            .await
            .expect("it answers");
        conn.query_drop(statement).await.expect("it is done");
        conn.disconnect().await.expect("goodbye");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
