//! A database per test, cloned from one that was migrated once.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::Duration;

use server::embedded_pg::{Durability, EmbeddedPostgres, Options, remove_abandoned};
use server::store;
use servicing::Sha256;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool};
use uuid::Uuid;

/// Where the runner says that a cluster for tests is: the URL of its superuser.
const URL: &str = "RINGFENCE_TEST_DATABASE_URL";

/// Any number that nothing else in the cluster uses.
const LOCK: i64 = 0x74_65_73_74;

/// The cluster of this test process: the runner's, else one of its own that ends with the process.
fn cluster() -> &'static str {
    static CLUSTER: OnceLock<(String, Option<EmbeddedPostgres>)> = OnceLock::new();
    let (url, _) = CLUSTER.get_or_init(|| match std::env::var(URL) {
        Ok(url) if !url.is_empty() => (url, None),
        _ => {
            let prefix = "ringfence-tests-";
            sweep(&std::env::temp_dir(), prefix);
            let name = format!("{prefix}{}", std::process::id());
            let options = Options {
                data_dir: std::env::temp_dir().join(name),
                durability: Durability::Throwaway,
            };
            let started = EmbeddedPostgres::start(&options).expect("an embedded PostgreSQL");
            (started.url("postgres"), Some(started))
        }
    });
    url
}

/// Clusters of test processes that have ended.
fn sweep(directory: &Path, prefix: &str) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            let _still_used = remove_abandoned(&entry.path());
        }
    }
}

/// The same cluster's URL with another database.
fn url_of(database: &str) -> String {
    let (before, query) = cluster().split_once('?').unwrap_or((cluster(), ""));
    let (server, _) = before.rsplit_once('/').expect("a URL with a database");
    match query {
        "" => format!("{server}/{database}"),
        query => format!("{server}/{database}?{query}"),
    }
}

/// The template's name changes with the migrations.
fn template() -> String {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../migrations");
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|f| f.unwrap().path())
        .collect();
    files.sort();
    let text: Vec<u8> = files
        .iter()
        .flat_map(|f| std::fs::read(f).unwrap())
        .collect();
    format!(
        "ringfence_template_{}",
        &Sha256::of(&text).to_string()[..12]
    )
}

async fn superuser() -> PgConnection {
    PgConnection::connect(&url_of("postgres")).await.unwrap()
}

async fn run(conn: &mut PgConnection, statement: String) {
    conn.execute(AssertSqlSafe(statement)).await.unwrap();
}

async fn make_template(conn: &mut PgConnection, name: &str) {
    let there: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(name)
            .fetch_one(&mut *conn)
            .await
            .unwrap();
    if there {
        return;
    }
    let draft = format!("{name}_draft");
    run(
        conn,
        format!("DROP DATABASE IF EXISTS {draft} WITH (FORCE)"),
    )
    .await;
    run(conn, format!("CREATE DATABASE {draft}")).await;
    let pool = store::connect(&url_of(&draft), 1).await.unwrap();
    store::migrate(&pool).await.unwrap();
    pool.close().await;
    run(conn, format!("ALTER DATABASE {draft} RENAME TO {name}")).await;
}

/// A migrated database of one test, gone with it.
#[derive(Debug)]
pub struct Database {
    /// Connections for the test itself.
    pub pool: PgPool,
    name: String,
}

impl Database {
    /// Makes one.
    pub async fn create() -> Self {
        tokio::task::spawn_blocking(cluster).await.unwrap();
        let mut conn = superuser().await;
        let (template, name) = (template(), format!("t_{}", Uuid::new_v4().simple()));
        sqlx::query("SELECT pg_advisory_lock($1)")
            .bind(LOCK)
            .execute(&mut conn)
            .await
            .unwrap();
        make_template(&mut conn, &template).await;
        // Under the lock as well: a template must not be in use while it is copied.
        run(
            &mut conn,
            format!("CREATE DATABASE {name} TEMPLATE {template}"),
        )
        .await;
        conn.close().await.unwrap();
        // Unlike a server's pool it looks before it hands a connection out: a test goes on where servers must not.
        let pool = PgPoolOptions::new()
            .max_connections(4)
            .connect(&url_of(&name))
            .await
            .unwrap();
        Self { pool, name }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        url_of(&self.name)
    }

    /// As if the database server went away: every connection ends, and none is taken.
    pub async fn go_down(&self) {
        let mut conn = superuser().await;
        run(
            &mut conn,
            format!("ALTER DATABASE {} ALLOW_CONNECTIONS false", self.name),
        )
        .await;
        self.end_connections(&mut conn).await;
    }

    /// It takes connections again.
    pub async fn come_back(&self) {
        let mut conn = superuser().await;
        run(
            &mut conn,
            format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", self.name),
        )
        .await;
    }

    /// Ends every connection once: what is open fails, new ones are taken.
    pub async fn hiccup(&self) {
        self.end_connections(&mut superuser().await).await;
    }

    async fn end_connections(&self, conn: &mut PgConnection) {
        sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1")
            .bind(&self.name)
            .execute(conn)
            .await
            .unwrap();
    }

    /// How many statements the database has run in transactions so far, those of the test's own not counted
    /// twice: for showing that something costs no query.
    pub async fn transactions(&self) -> i64 {
        let mut conn = superuser().await;
        sqlx::query_scalar("SELECT xact_commit FROM pg_stat_database WHERE datname = $1")
            .bind(&self.name)
            .fetch_one(&mut conn)
            .await
            .unwrap()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (options, name) = (
            PgConnectOptions::from_str(&url_of("postgres")),
            self.name.clone(),
        );
        // Not on the test's runtime, which may be ending.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .ok()?;
            runtime.block_on(async {
                let connect = PgConnection::connect_with(options.as_ref().ok()?);
                let mut conn = tokio::time::timeout(Duration::from_secs(10), connect)
                    .await
                    .ok()?
                    .ok()?;
                let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                conn.execute(AssertSqlSafe(drop)).await.ok()
            })
        });
        let _gone = dropped.join();
    }
}
