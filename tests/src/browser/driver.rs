//! Chromium and the program that drives it, as processes that end with this one; and WebDriver, as far as it is needed.

use std::env;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

const MISSING: &str = "Tests of pages need Chromium and its driver. Install them (Debian: apt-get install chromium \
    chromium-driver; Fedora: dnf install chromium chromedriver; macOS: brew install chromium chromedriver), or set \
    RINGFENCE_CHROMIUM and RINGFENCE_CHROMEDRIVER to the two programs.";

/// Runs the driver in a process group of its own until this end of the pipe closes, be it that a test is over, has
/// panicked or was killed; then ends the group, the browser among it, and what it has written.
const KEEPER: &str = r#"
trap : TERM
( "$0" --port=0 --log-level=SEVERE < /dev/null || echo failed ) &
read -r _
kill -TERM 0
wait
sleep 0.3
rm -rf "$1"
kill -KILL 0
"#;

/// A driver that finds no port may find one the next time: it wants the same one for IPv4 and IPv6.
const TRIES: usize = 3;

/// Nothing that calls home, nothing that asks.
const FLAGS: [&str; 9] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--window-size=1440,1000",
];

/// A browser that does what it is told.
pub(crate) struct Driver {
    keeper: Child,
    client: Client,
    session: String,
}

/// A program by its variable or its names.
fn program(variable: &str, names: &[&str]) -> PathBuf {
    if let Some(named) = env::var_os(variable).map(PathBuf::from) {
        assert!(
            named.is_file(),
            "{} is not there. {MISSING}",
            named.display()
        );
        return named;
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let found = names.iter().find_map(|name| {
        let candidates = env::split_paths(&path).map(|directory| directory.join(name));
        candidates.into_iter().find(|file| file.is_file())
    });
    found.unwrap_or_else(|| panic!("{MISSING}"))
}

/// Starts the driver: its keeper, where the browser may write, and the port, where it has one.
async fn listening(driver: &Path) -> (Child, PathBuf, Option<u16>) {
    let profile = TempDir::with_prefix("ringfence-browser-").unwrap().keep();
    let mut keeper = Command::new("sh")
        .args(["-c", KEEPER])
        .arg(driver)
        .arg(&profile)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let output = BufReader::new(keeper.stdout.take().unwrap());
    let found = tokio::task::spawn_blocking(move || {
        let mut lines = output.lines().map_while(Result::ok);
        let begins = |line: &String| line == "failed" || line.contains("successfully on port ");
        let port = lines.find(begins).and_then(|line| {
            let (_, port) = line.split_once("on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        // What it still says must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        port
    });
    let port = found.await.unwrap();
    if port.is_none() {
        drop(keeper.stdin.take());
        let _gone = keeper.wait();
    }
    (keeper, profile, port)
}

impl Driver {
    /// Starts one. Without script, pages get none; what a test runs in them works all the same.
    pub async fn start(script: bool) -> Self {
        let chromium = program(
            "RINGFENCE_CHROMIUM",
            &["chromium", "chromium-browser", "google-chrome", "chrome"],
        );
        let driver = program("RINGFENCE_CHROMEDRIVER", &["chromedriver"]);
        let mut tries = 0;
        let (keeper, profile, port) = loop {
            let (keeper, profile, port) = listening(&driver).await;
            tries += 1;
            match port {
                Some(port) => break (keeper, profile, port),
                None if tries < TRIES => {}
                None => panic!("{} did not start. {MISSING}", driver.display()),
            }
        };
        server::tls::install_provider();
        let client = Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        let mut browser = Self {
            keeper,
            client,
            session: format!("http://127.0.0.1:{port}/session"),
        };
        let flags = FLAGS.iter().map(|flag| (*flag).to_owned());
        let flags = flags.chain([format!("--user-data-dir={}", profile.display())]);
        let javascript = if script { 1 } else { 2 };
        let wanted = json!({
            "goog:chromeOptions": {
                "binary": chromium,
                "args": flags.collect::<Vec<_>>(),
                "prefs": { "profile.managed_default_content_settings.javascript": javascript },
            },
            "goog:loggingPrefs": { "browser": "ALL" },
            "timeouts": { "pageLoad": 30_000, "script": 60_000 },
        });
        let made = browser
            .post("", json!({ "capabilities": { "alwaysMatch": wanted } }))
            .await
            .unwrap_or_else(|said| {
                panic!("{} did not start: {said}. {MISSING}", chromium.display())
            });
        let id = made["sessionId"].as_str().unwrap();
        browser.session = format!("{}/{id}", browser.session);
        browser
    }

    /// A command with what it takes; an error is what the driver said.
    pub async fn post(&self, command: &str, body: Value) -> Result<Value, String> {
        let url = format!("{}{command}", self.session);
        Self::answer(self.client.post(url).json(&body)).await
    }

    /// A question.
    pub async fn get(&self, what: &str) -> Result<Value, String> {
        let url = format!("{}{what}", self.session);
        Self::answer(self.client.get(url)).await
    }

    async fn answer(request: reqwest::RequestBuilder) -> Result<Value, String> {
        let answer = request.send().await.map_err(|e| e.to_string())?;
        let succeeded = answer.status().is_success();
        let mut body: Value = answer.json().await.map_err(|e| e.to_string())?;
        let value = body["value"].take();
        if succeeded {
            return Ok(value);
        }
        let said = value["message"].as_str().unwrap_or_default();
        Err(said.lines().next().unwrap_or_default().to_owned())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _gone = self.keeper.wait();
    }
}
