//! Commands: what each of them does, from its flags to its exit code.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum_server::Handle;
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::app::{Parts, Running};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Flags};
use crate::database::Database;
use crate::secret::ServerSecret;
use crate::{auth, demo, publisher, serve, store, telemetry, tls, verify};

/// Staged rollout rings of Windows updates: gated, approved, and stopped in time.
#[derive(Debug, Parser)]
#[command(name = "ringfence", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(Flags),
    /// Bring the database's schema up to date
    Migrate(Flags),
    /// People who may do everything
    #[command(subcommand)]
    Admin(Admin),
    /// What a publisher does offline: keys, signatures, and an example to try
    #[command(subcommand)]
    Publisher(Publisher),
    /// Compare what is stored with what it was made from
    #[command(subcommand)]
    Verify(Verify),
    /// Play the story of a bad update and of the one that mends it, with simulated devices
    Demo(demo::Options),
    /// Ask a running server whether it is ready; for container health checks
    Healthcheck(Healthcheck),
}

#[derive(Debug, Subcommand)]
enum Admin {
    /// Add an admin and print, once, an API token and a link with which they choose a password
    Create {
        /// Name
        #[arg(long)]
        name: String,
        #[command(flatten)]
        flags: Flags,
    },
    /// Print a link with which someone who is there already chooses a password: the way back in when nobody can sign in
    Link {
        /// Name
        #[arg(long)]
        name: String,
        #[command(flatten)]
        flags: Flags,
    },
}

#[derive(Debug, Subcommand)]
enum Publisher {
    /// Make a key to sign with; prints the public key that servers are told to trust
    Key {
        /// Where the private key goes; must not be there yet
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Sign a sequence; prints the manifest
    Sign(publisher::ToSign),
    /// Write a known sequence with made-up packages, for trying out with simulated devices; prints the sequence
    Example {
        /// KB, such as KB5086672
        #[arg(long)]
        kb: String,
        /// The server's directory of packages
        #[arg(long, value_name = "DIRECTORY")]
        content_dir: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum Verify {
    /// Counters equal a recount of the stored events
    Recount(Flags),
    /// The audit chain is whole
    Audit(Flags),
    /// Every decision follows again from what was stored with it
    Decisions(Flags),
}

#[derive(Debug, clap::Args)]
struct Healthcheck {
    /// Address of the server
    #[arg(long, default_value = "https://127.0.0.1:8443")]
    url: String,
    /// Certificate of the authority to trust, PEM; not needed on loopback
    #[arg(long)]
    ca: Option<PathBuf>,
}

/// Runs a command.
///
/// # Errors
/// A sentence for the person who typed it.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match cli.command {
            Command::Serve(flags) => serve(&flags).await.map(|()| ExitCode::SUCCESS),
            Command::Migrate(flags) => {
                let database = Database::open(&configured(&flags)?).await?;
                store::migrate(&database.pool).await?;
                database.close().await;
                println!("The schema is up to date.");
                Ok(ExitCode::SUCCESS)
            }
            Command::Admin(what) => admin(what).await.map(|()| ExitCode::SUCCESS),
            Command::Publisher(what) => publish(&what).map(|()| ExitCode::SUCCESS),
            Command::Verify(what) => check(what).await,
            Command::Demo(options) => demo::run(options).await,
            Command::Healthcheck(options) => healthcheck(options).await,
        }
    })
}

fn publish(what: &Publisher) -> anyhow::Result<()> {
    match what {
        Publisher::Key { out } => {
            let (public, id) = publisher::make_key(out)?;
            println!(
                "The private key is in {}. Keep it off the server.",
                out.display()
            );
            println!("Key {id}; its public key, for the server:\n{public}");
        }
        Publisher::Sign(what) => {
            let manifest = publisher::sign(what, SystemClock.now())?;
            println!("{}", serde_json::to_string_pretty(&manifest)?);
        }
        Publisher::Example { kb, content_dir } => {
            std::fs::create_dir_all(content_dir)?;
            let sequence = publisher::synthetic(kb, content_dir)?;
            println!("{}", serde_json::to_string_pretty(&sequence)?);
        }
    }
    Ok(())
}

async fn admin(what: Admin) -> anyhow::Result<()> {
    let (Admin::Create { flags, .. } | Admin::Link { flags, .. }) = &what;
    let config = configured(flags)?;
    let database = Database::open(&config).await?;
    let done = async {
        store::migrate(&database.pool).await?;
        match &what {
            Admin::Create { name, .. } => {
                let (id, token) = auth::create_admin(&database.pool, &SystemClock, name).await?;
                println!("{name} is an admin. API token, shown once:\n{token}");
                print_link(&database, &config, name, id).await
            }
            Admin::Link { name, .. } => {
                let people = store::people::all(&mut *database.pool.acquire().await?).await?;
                let person = people.iter().find(|p| p.name == *name);
                let person = person.with_context(|| format!("there is nobody named {name}"))?;
                print_link(&database, &config, name, person.id).await
            }
        }
    };
    let done: anyhow::Result<()> = done.await;
    database.close().await;
    done
}

/// Prints a link to choose a password. People who reach the server by another name put that in front.
async fn print_link(
    database: &Database,
    config: &Config,
    name: &str,
    person: uuid::Uuid,
) -> anyhow::Result<()> {
    let now = SystemClock.now();
    let (link, _) = auth::make_link(&database.pool, person, None, now).await?;
    let scheme = if config.tls.is_some() {
        "https"
    } else {
        "http"
    };
    println!(
        "{name} chooses a password here, once and within 24 hours:\n{scheme}://{}/welcome/{}",
        config.listen,
        link.show()
    );
    Ok(())
}

/// Without people nobody could come in: the first start makes an admin and prints their link.
async fn first_admin(database: &Database, config: &Config) -> anyhow::Result<()> {
    const NAME: &str = "admin";
    let people = store::people::all(&mut *database.pool.acquire().await?).await?;
    if !people.is_empty() {
        return Ok(());
    }
    let admin = auth::first_admin(&database.pool, &SystemClock, NAME).await?;
    print_link(database, config, NAME, admin).await
}

fn configured(flags: &Flags) -> anyhow::Result<Config> {
    let config = Config::load(flags)?;
    telemetry::init(&config.log)?;
    Ok(config)
}

async fn serve(flags: &Flags) -> anyhow::Result<()> {
    let config = Arc::new(configured(flags)?);
    std::fs::create_dir_all(&config.content_dir)
        .with_context(|| format!("can not make content_dir {}", config.content_dir.display()))?;
    let database = Database::open(&config).await?;
    store::migrate(&database.pool).await?;
    first_admin(&database, &config).await?;
    let secret = ServerSecret::load_or_create(&config.secret_file)?;
    let parts = Parts {
        pool: database.pool.clone(),
        clock: Arc::new(SystemClock),
        secret,
    };
    let running = Running::start(&config, parts).await?;

    let stop = CancellationToken::new();
    let (tls, scheme) = match &config.tls {
        Some(files) => {
            let tls = tls::server_config(&files.certificate, &files.key).await?;
            let reload = tls::reload_on_change(
                tls.clone(),
                files.certificate.clone(),
                files.key.clone(),
                Duration::from_secs(5),
            );
            tokio::spawn(stop.clone().run_until_cancelled_owned(reload));
            (Some(tls), "https")
        }
        None => (None, "http"),
    };
    let listener = serve::listen(config.listen)
        .with_context(|| format!("can not listen on {}", config.listen))?;
    let address = listener.local_addr()?;
    tracing::info!(%address, scheme, "ready");
    println!("Ringfence listens on {scheme}://{address}");
    let handle = Handle::new();
    tokio::spawn({
        let (handle, app) = (handle.clone(), running.app.clone());
        async move {
            stopped().await;
            serve::stop(&handle, &app);
        }
    });
    let served = serve::serve(
        listener,
        serve::Front::new(running.app.clone(), Arc::clone(&config)),
        tls,
        handle,
    )
    .await;
    stop.cancel();
    running.stop().await;
    database.close().await;
    served.context("the socket failed")
}

/// Returns when the process is asked to end.
async fn stopped() {
    let (Ok(mut term), Ok(mut int)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

async fn check(what: Verify) -> anyhow::Result<ExitCode> {
    let (Verify::Recount(flags) | Verify::Audit(flags) | Verify::Decisions(flags)) = &what;
    let database = Database::open(&configured(flags)?).await?;
    let pool = &database.pool;
    let findings = match what {
        Verify::Recount(_) => verify::recount(pool).await,
        Verify::Decisions(_) => verify::decisions(pool).await,
        Verify::Audit(_) => {
            async {
                let (n, head) = store::audit::verify(&mut *store::reading(pool).await?).await?;
                println!("{n} entries, head {head}");
                Ok(Vec::new())
            }
            .await
        }
    };
    database.close().await;
    let findings = findings?;
    for finding in &findings {
        println!("{finding}");
    }
    println!("{} differences", findings.len());
    Ok(if findings.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn healthcheck(options: Healthcheck) -> anyhow::Result<ExitCode> {
    let url = reqwest::Url::parse(&options.url).context("--url is not a URL")?;
    let host = url.host_str().unwrap_or_default();
    // The certificate names the server as people reach it; a container asks itself by another name. Nothing secret
    // is sent, and the packets do not leave the machine.
    let itself = host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback());
    let mut client = reqwest::Client::builder().timeout(Duration::from_secs(5));
    if let Some(ca) = options.ca {
        client = client.add_root_certificate(reqwest::Certificate::from_pem(&std::fs::read(ca)?)?);
    } else if itself {
        client = client.tls_danger_accept_invalid_certs(true);
    }
    let answer = client.build()?.get(url.join("/readyz")?).send().await?;
    println!("{}", answer.status());
    Ok(if answer.status().is_success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
