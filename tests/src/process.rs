//! A server as a process of its own, the way it is run in the field.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::eventually;
use crate::lab::Lab;
use crate::wire::Wire;

/// A process that ends with this value.
pub struct Process {
    /// For requests to it.
    pub wire: Wire,
    child: Child,
}

/// The program that the runner built, else the one beside this test's own.
fn program() -> PathBuf {
    let directory = std::env::var_os("RINGFENCE_BIN_DIR").map_or_else(
        || {
            let test = std::env::current_exe().unwrap();
            test.ancestors().nth(2).unwrap().to_path_buf()
        },
        PathBuf::from,
    );
    let program = directory.join("ringfence");
    assert!(
        program.is_file(),
        "{} is not there: build it with `cargo build -p server`",
        program.display()
    );
    program
}

impl Process {
    /// Runs `ringfence serve` on the lab's database with the lab's secret, and waits until it is ready.
    pub async fn start(lab: &Lab) -> Self {
        let directory = lab.directory();
        let mut command = Command::new(program());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("RINGFENCE_")) {
            command.env_remove(name);
        }
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--log-filter", "warn"])
            .arg("--data-dir")
            .arg(directory)
            .env("RINGFENCE_DATABASE_URL", lab.database.url())
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let found = tokio::task::spawn_blocking(move || {
            let mut lines = output.lines().map_while(Result::ok);
            let url = lines.find_map(|l| Some(l.split_once("listens on ")?.1.to_owned()));
            // What it still says must not fill the pipe.
            std::thread::spawn(move || lines.for_each(drop));
            url
        });
        let url = found
            .await
            .unwrap()
            .expect("the server says where it listens");
        let process = Self {
            wire: Wire::to(&url),
            child,
        };
        eventually("the server is ready", async || {
            process.wire.status_of("/readyz").await == 200
        })
        .await;
        process
    }

    /// Ends it without any warning, as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}
