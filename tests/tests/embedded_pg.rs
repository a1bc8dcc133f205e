//! The embedded PostgreSQL, started for real: what was committed survives every end of its owner, and
//! PostgreSQL itself does not.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in its helpers"
)]

use server::embedded_pg::{DATABASE, Durability, EmbeddedPostgres, Options};
use sqlx::{Connection, PgConnection};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Set for a copy of this test program that only owns a cluster, to be killed by the real test.
const OWN: &str = "RINGFENCE_TEST_OWN_CLUSTER";

/// The account `nobody` has this number on every Linux.
const NOBODY: u32 = 65534;

fn options(data_dir: &Path, durability: Durability) -> Options {
    Options {
        data_dir: data_dir.to_path_buf(),
        durability,
    }
}

fn start(data_dir: &Path) -> EmbeddedPostgres {
    EmbeddedPostgres::start(&options(data_dir, Durability::Durable)).unwrap()
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

async fn write_down(url: &str, word: &'static str) {
    let mut database = connect(url).await;
    sqlx::query("CREATE TABLE IF NOT EXISTS note (word text)")
        .execute(&mut database)
        .await
        .unwrap();
    sqlx::query("INSERT INTO note VALUES ($1)")
        .bind(word)
        .execute(&mut database)
        .await
        .unwrap();
}

async fn read_back(url: &str) -> Vec<String> {
    sqlx::query_scalar("SELECT word FROM note ORDER BY word")
        .fetch_all(&mut connect(url).await)
        .await
        .unwrap()
}

async fn fsync(url: &str) -> String {
    sqlx::query_scalar("SHOW fsync")
        .fetch_one(&mut connect(url).await)
        .await
        .unwrap()
}

fn postmaster_pid(data_dir: &Path) -> Option<u32> {
    let file = fs::read_to_string(data_dir.join("data/postmaster.pid")).ok()?;
    file.lines().next()?.parse().ok()
}

fn kill_hard(pid: u32) {
    let status = Command::new("kill")
        .args(["-KILL", &pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within 30 s");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Another process that owns a cluster.
struct Owner {
    process: Child,
    url: String,
}

impl Owner {
    fn start(program: &Path, data_dir: &Path, uid: Option<u32>) -> Self {
        let mut command = Command::new(program);
        command
            .args([
                "own_a_cluster_until_killed",
                "--exact",
                "--ignored",
                "--nocapture",
            ])
            .env(OWN, data_dir)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some(uid) = uid {
            command.uid(uid).gid(uid);
        }
        let mut process = command.spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let url = output
            .lines()
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("url=")?.1.to_owned()))
            .expect("the owner prints the URL");
        Self { process, url }
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Not a test: the body of the other process.
#[test]
#[ignore = "run by the tests below in a process of its own"]
fn own_a_cluster_until_killed() {
    let Some(data_dir) = std::env::var_os(OWN) else {
        return;
    };
    let cluster = start(&PathBuf::from(data_dir));
    println!("url={}", cluster.url(DATABASE));
    // Ends with the test that started it, whichever way that one ends.
    let _ = std::io::stdin().lines().next();
}

#[tokio::test]
async fn data_survive_a_stop_and_commits_reach_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = start(directory.path());
    assert!(cluster.is_owner());
    write_down(&cluster.url(DATABASE), "kept").await;
    cluster.stop();
    assert_eq!(postmaster_pid(directory.path()), None);

    let cluster = start(directory.path());
    assert_eq!(read_back(&cluster.url(DATABASE)).await, ["kept"]);
    assert_eq!(fsync(&cluster.url(DATABASE)).await, "on");
}

#[tokio::test]
async fn nobody_else_can_reach_the_data_or_the_socket() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = start(directory.path());
    for inside in ["", "data", "socket"] {
        let mode = fs::metadata(directory.path().join(inside)).unwrap().mode();
        assert_eq!(mode & 0o077, 0, "{inside}: {mode:o}");
    }
    let addresses: String = sqlx::query_scalar("SHOW listen_addresses")
        .fetch_one(&mut connect(&cluster.url(DATABASE)).await)
        .await
        .unwrap();
    assert_eq!(addresses, "");
}

#[tokio::test]
async fn a_second_start_joins_and_its_end_stops_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    let owner = Owner::start(&program, directory.path(), None);

    let guest = start(directory.path());
    assert!(!guest.is_owner());
    assert_eq!(guest.url(DATABASE), owner.url);
    write_down(&guest.url(DATABASE), "from the guest").await;
    guest.stop();

    assert_eq!(read_back(&owner.url).await, ["from the guest"]);
    owner.kill();
}

#[tokio::test]
async fn postgresql_goes_with_a_killed_owner_and_the_data_stay() {
    let directory = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    let owner = Owner::start(&program, directory.path(), None);
    write_down(&owner.url, "committed").await;
    owner.kill();
    eventually("PostgreSQL ends", || {
        postmaster_pid(directory.path()).is_none()
    });

    let cluster = start(directory.path());
    assert!(cluster.is_owner());
    assert_eq!(read_back(&cluster.url(DATABASE)).await, ["committed"]);
}

#[tokio::test]
async fn a_start_right_after_a_kill_waits_for_the_old_server() {
    let directory = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    let owner = Owner::start(&program, directory.path(), None);
    write_down(&owner.url, "committed").await;
    owner.kill();

    let cluster = start(directory.path());
    assert_eq!(read_back(&cluster.url(DATABASE)).await, ["committed"]);
}

#[tokio::test]
async fn a_killed_postgresql_comes_back_while_its_owner_lives() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = start(directory.path());
    write_down(&cluster.url(DATABASE), "committed").await;
    let killed = postmaster_pid(directory.path()).unwrap();
    kill_hard(killed);

    let deadline = Instant::now() + Duration::from_secs(30);
    while PgConnection::connect(&cluster.url(DATABASE)).await.is_err() {
        assert!(Instant::now() < deadline, "PostgreSQL did not come back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_ne!(postmaster_pid(directory.path()), Some(killed));
    assert_eq!(read_back(&cluster.url(DATABASE)).await, ["committed"]);
    cluster.stop();
    assert_eq!(postmaster_pid(directory.path()), None);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_orphan_without_any_supervisor_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    let owner = Owner::start(&program, directory.path(), None);
    write_down(&owner.url, "committed").await;

    let orphan = postmaster_pid(directory.path()).unwrap();
    let status = fs::read_to_string(format!("/proc/{orphan}/status")).unwrap();
    let shell: u32 = status
        .lines()
        .find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
        .unwrap();
    let children = fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
    let watcher = children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .find(|pid| *pid != orphan)
        .unwrap();
    kill_hard(shell);
    kill_hard(watcher);
    owner.kill();
    assert_eq!(postmaster_pid(directory.path()), Some(orphan));

    let cluster = start(directory.path());
    assert!(cluster.is_owner());
    assert_ne!(postmaster_pid(directory.path()), Some(orphan));
    assert_eq!(read_back(&cluster.url(DATABASE)).await, ["committed"]);
}

#[tokio::test]
async fn an_ordinary_user_gets_the_same() {
    let directory = tempfile::tempdir().unwrap();
    if fs::metadata(directory.path()).unwrap().uid() != 0 {
        // Not root: every other test here has just been run by an ordinary user.
        return;
    }
    // The build directory may be closed to others; a copy in a directory of the user's own is not.
    let nobody = Some(NOBODY);
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let program = directory.path().join("owner");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let data_dir = directory.path().join("cluster");
    fs::create_dir(&data_dir).unwrap();
    std::os::unix::fs::chown(&data_dir, nobody, nobody).unwrap();

    let owner = Owner::start(&program, &data_dir, nobody);
    assert_eq!(fsync(&owner.url).await, "on");
    write_down(&owner.url, "by an ordinary user").await;
    owner.kill();
    eventually("PostgreSQL ends", || postmaster_pid(&data_dir).is_none());

    // Root carries on with the account that owns the data.
    let cluster = start(&data_dir);
    assert_eq!(
        read_back(&cluster.url(DATABASE)).await,
        ["by an ordinary user"]
    );
    assert_eq!(fs::metadata(data_dir.join("data")).unwrap().uid(), NOBODY);
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_works_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let data_dir = directory.path().join("long ".repeat(30));
    let cluster = start(&data_dir);
    write_down(&cluster.url(DATABASE), "reached").await;
    assert!(!data_dir.join("socket").exists());
}

#[tokio::test]
async fn a_path_with_strange_characters_works_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let data_dir = directory.path().join("Größe, \"50%\" & 'co'");
    let cluster = start(&data_dir);
    write_down(&cluster.url(DATABASE), "reached").await;
    assert!(data_dir.join("socket").exists());
}

#[tokio::test]
async fn test_clusters_do_not_wait_for_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let throwaway = options(directory.path(), Durability::Throwaway);
    let cluster = EmbeddedPostgres::start(&throwaway).unwrap();
    assert_eq!(fsync(&cluster.url("postgres")).await, "off");
}

#[test]
fn a_place_that_the_database_account_cannot_enter_is_named() {
    let directory = tempfile::tempdir().unwrap();
    if fs::metadata(directory.path()).unwrap().uid() != 0 {
        // Only root changes over to another account.
        return;
    }
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let closed = directory.path().join("closed");
    let error = EmbeddedPostgres::start(&options(&closed, Durability::Throwaway)).unwrap_err();
    let sentence = error.to_string();
    assert!(sentence.contains("which may not enter"), "{sentence}");
    assert!(sentence.contains("/var/lib/ringfence"), "{sentence}");
}
