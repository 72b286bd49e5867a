//! SendTargets discovery (RFC 7143, section 4.3 and appendix C).

use std::sync::Arc;

use iscsi_proto::keys::{Key, text};
use iscsi_proto::portal::Portal;

use crate::builder::Builder;
use crate::config::{Config, Initiator};
use crate::core::CommandError;
use crate::core::login::Purpose;
use crate::core::secret::Auth;
use crate::core::targets::{self, Targets};
use crate::driver::beside;
use crate::error::ConnectError;
use crate::session::Session;
use crate::tap::Tap;

/// Asks portals which targets they know.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use iscsi_initiator::{Discovery, Initiator};
///
/// let initiator = Initiator::new("iqn.2025-01.com.example:host".parse()?);
/// for target in Discovery::new(&initiator).send_targets(&"192.0.2.1".parse()?).await?.targets {
///     println!("{} at {:?}", target.name, target.addresses);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "discovery does nothing until it is asked"]
pub struct Discovery {
    initiator: Initiator,
    auth: Auth,
    config: Config,
    tap: Option<Arc<dyn Tap>>,
}

impl Discovery {
    /// Discovery by `initiator`, without authentication.
    pub fn new(initiator: &Initiator) -> Self {
        Self { initiator: initiator.clone(), auth: Auth::None, config: Config::default(), tap: None }
    }

    /// How both sides prove who they are.
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = auth;
        self
    }

    /// What to offer, and how long to wait.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Who is told what goes over the wire, secrets included; by default nobody.
    pub fn tap(mut self, tap: Arc<dyn Tap>) -> Self {
        self.tap = Some(tap);
        self
    }

    /// Logs in at `portal`, asks for all targets, and logs out. A target that names no address is at `portal` itself.
    ///
    /// # Cancellation
    ///
    /// The TCP connection is closed.
    pub async fn send_targets(&self, portal: &Portal) -> Result<Targets, ConnectError> {
        let mut builder = Builder::new(&self.initiator, Purpose::Discovery { target: None })
            .portal(portal.clone())
            .auth(self.auth.clone())
            .config(self.config.clone());
        if let Some(tap) = &self.tap {
            builder = builder.tap(Arc::clone(tap));
        }
        let (session, connection) = builder.connect_unspawned().await?;
        let mut connection = Some(Box::pin(connection));
        let answer = beside(&mut connection, ask(&session)).await.map_err(ConnectError::Discovery)?;
        let mut found = targets::parse(&answer)?;
        for target in &mut found.targets {
            if target.addresses.is_empty() {
                target.addresses.push(portal.clone().into());
            }
        }
        Ok(found)
    }
}

async fn ask(session: &Session) -> Result<Vec<u8>, CommandError> {
    let answer = session.text(text::encode([(Key::SendTargets, "All")])).await?;
    // The answer is there; that the target fails to say goodbye does not change it.
    let _ = session.logout().await;
    Ok(answer)
}
