//! For a visitor with a browser: a plain address on loopback, and people who can sign in.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum_server::Handle;
use rand::seq::IndexedRandom;
use sqlx::PgPool;
use tokio::task::JoinHandle;

use crate::app::App;
use crate::auth;
use crate::config::Config;
use crate::serve;
use crate::store::people;

/// Words of the one password: easy to type, and nothing to guess from a list.
const WORDS: [&str; 24] = [
    "anchor", "basil", "cobalt", "dune", "ember", "fjord", "gravel", "harbor", "indigo", "juniper",
    "kettle", "lagoon", "marble", "nectar", "orchid", "pebble", "quartz", "raven", "saddle",
    "thistle", "umber", "velvet", "walnut", "zephyr",
];

/// Where a visitor's browser comes in. Browsers do not know the demo's authority, and take a `Secure` cookie from
/// loopback without it; agents go on over HTTPS.
pub struct Door {
    /// Address.
    pub url: String,
    handle: Handle<SocketAddr>,
    served: JoinHandle<std::io::Result<()>>,
}

impl Door {
    /// Opens it beside the socket with TLS, for the same server.
    pub fn open(app: &App, config: &Config) -> anyhow::Result<Self> {
        let plain = Config {
            tls: None,
            ..config.clone()
        };
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://localhost:{}", listener.local_addr()?.port());
        let handle = Handle::new();
        let router = serve::Front::new(app.clone(), Arc::new(plain));
        let served = tokio::spawn(serve::serve(listener, router, None, handle.clone()));
        Ok(Self {
            url,
            handle,
            served,
        })
    }

    /// Closes it.
    pub async fn close(self, app: &App) {
        serve::stop(&self.handle, app);
        let _served = self.served.await;
    }

    /// Gives everybody of the story the same new password, each by a link of their own, and says who they are.
    pub async fn invite(&self, app: &App) -> anyhow::Result<()> {
        let password = password();
        println!("\n  Sign in, as any of them:");
        for person in everybody(&app.pool).await? {
            let (link, _) = auth::make_link(&app.pool, person.id, None, app.clock.now()).await?;
            let chosen = password.clone().into();
            let (passwords, now) = (&app.passwords, app.clock.now());
            auth::choose_password(&app.pool, passwords, &link.show(), chosen, now).await?;
            let roles: Vec<_> = person.roles.iter().map(|(r, _)| format!("{r:?}")).collect();
            println!(
                "    {:<12} {:<9} {}/sign-in?name={}",
                person.name,
                roles.join(", ").to_lowercase(),
                self.url,
                person.name.replace(' ', "+"),
            );
        }
        println!("  Password of all of them: {password}");
        println!(
            "  Approvals wait for you: Anna Novak and Mary Osei decide. Ctrl-C ends everything.\n"
        );
        Ok(())
    }

    /// Brings it to the screen, where there is one.
    pub fn show(&self) {
        let has_screen = cfg!(target_os = "macos")
            || ["DISPLAY", "WAYLAND_DISPLAY"]
                .iter()
                .any(|name| std::env::var_os(name).is_some());
        if has_screen && let Err(error) = open::that_detached(&self.url) {
            println!("  No browser could be opened ({error}); the links work in any.");
        }
    }
}

async fn everybody(pool: &PgPool) -> anyhow::Result<Vec<people::Account>> {
    people::all(&mut *pool.acquire().await?).await
}

fn password() -> String {
    let mut random = rand::rng();
    let words: Vec<&str> = WORDS.sample(&mut random, 4).copied().collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visitors_password_is_one_that_may_be_chosen() {
        let chosen = password();
        assert!(
            auth::check_password(&chosen.clone().into(), "Anna Novak").is_ok(),
            "{chosen}"
        );
    }
}
