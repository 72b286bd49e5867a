//! From a URL and the options beside it to a session.

use std::env;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use iscsi_initiator::core::secret::{Auth, CredentialError, Secret};
use iscsi_initiator::tap::Tap;
use iscsi_initiator::url::IscsiUrl;
use iscsi_initiator::{Config, ConnectError, Discovery, Initiator, Lun, Session};
use iscsi_proto::name::IscsiName;
use iscsi_proto::portal::Portal;
use zeroize::Zeroizing;

use crate::cli::command::{Common, Place, Url};
use crate::cli::secret::Secrets;
use crate::db;
use crate::db::paths::Paths;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::trace::Trace;

/// The most bytes of a secret file that are read.
const MAX_SECRET_FILE: u64 = 4096;

/// Where to go and how to prove who one is.
#[derive(Clone)]
pub(super) struct Access {
    pub(super) url: IscsiUrl,
    pub(super) initiator: Initiator,
    pub(super) auth: Auth,
    pub(super) config: Config,
    pub(super) tap: Option<Arc<dyn Tap>>,
}

impl Access {
    pub(super) fn to(url: &Url, common: &Common) -> Result<Self, Failure> {
        Self::new(url.as_str().parse()?, common)
    }

    pub(super) fn to_place(place: &Place, common: &Common) -> Result<Self, Failure> {
        match place {
            Place::Url(url) => Self::to(url, common),
            Place::Portal(address) => Self::new(IscsiUrl::new(address.portal.clone()), common),
        }
    }

    fn new(mut url: IscsiUrl, common: &Common) -> Result<Self, Failure> {
        add_secrets(&mut url, common.secret_file.as_deref())?;
        let auth = url.auth()?;
        let mut config = Config::default().with_timeout(common.timeout);
        config.offer.header_digest = url.header_digest.unwrap_or_default();
        config.offer.data_digest = url.data_digest.unwrap_or_default();
        let name = match common.initiator_name.clone().or_else(|| url.initiator.clone()) {
            Some(name) => name,
            None => db::initiator::Initiator::ensure(&Paths::from_env()?.config)?.name,
        };
        let tap = match &common.trace {
            Some(path) => Some(Arc::new(Trace::create(path)?) as Arc<dyn Tap>),
            None => None,
        };
        Ok(Self { url, initiator: Initiator::new(name), auth, config, tap })
    }

    /// Discovery at the URL's portal. Few portals demand CHAP for it, so the credentials are offered and not insisted on,
    /// unless the target is to prove itself.
    pub(super) fn discovery(&self) -> Discovery {
        let auth = match &self.auth {
            Auth::Chap(chap) if chap.target().is_none() => Auth::Chap(chap.clone().or_none()),
            auth => auth.clone(),
        };
        let discovery = Discovery::new(&self.initiator).auth(auth).config(self.config.clone());
        match &self.tap {
            Some(tap) => discovery.tap(Arc::clone(tap)),
            None => discovery,
        }
    }

    /// Logs in to `target` at the first of `portals` that answers.
    pub(super) async fn log_in(
        &self,
        target: IscsiName,
        portals: impl IntoIterator<Item = Portal>,
    ) -> Result<Session, Failure> {
        Ok(self.connect(target, portals).await?)
    }

    /// The same, with the library's own error.
    pub(super) async fn connect(
        &self,
        target: IscsiName,
        portals: impl IntoIterator<Item = Portal>,
    ) -> Result<Session, ConnectError> {
        let mut builder = Session::builder(&self.initiator, target).auth(self.auth.clone()).config(self.config.clone());
        if let Some(tap) = &self.tap {
            builder = builder.tap(Arc::clone(tap));
        }
        let builder = portals.into_iter().fold(builder, iscsi_initiator::Builder::portal);
        builder.connect().await
    }

    /// Logs in to the target of the URL.
    pub(super) async fn session(&self) -> Result<Session, Failure> {
        let target =
            self.url.target.clone().ok_or_else(|| Failure::invalid("the URL names no target: add /IQN/LUN"))?;
        self.log_in(target, [self.url.portal.clone()]).await
    }

    /// Opens the logical unit of the URL.
    pub(super) async fn open(&self, session: &Session) -> Result<Lun, Failure> {
        let lun = self.url.lun.ok_or_else(|| Failure::invalid("the URL names no LUN: add its number, as in /IQN/0"))?;
        session.open(lun).await.map_err(|error| Failure::from(error).during(format!("LUN {lun}")))
    }
}

/// Fills in the secrets that the URL leaves out: from a file, or from the environment.
fn add_secrets(url: &mut IscsiUrl, file: Option<&Path>) -> Result<(), Failure> {
    let (ours, theirs) = match file {
        Some(path) => {
            let Secrets { secret, target_secret } = read_secrets(path)?;
            (Some(secret), target_secret)
        }
        None => (variable("RISCSI_SECRET")?, variable("RISCSI_TARGET_SECRET")?),
    };
    if url.user.is_none() && file.is_some() {
        return Err(Failure::invalid("there is a secret file but no user: write it into the URL as iscsi://USER@HOST"));
    }
    if url.user.is_some() && url.target_user.is_none() && theirs.is_some() {
        let place = if file.is_some() { "line 2 of the secret file" } else { "RISCSI_TARGET_SECRET" };
        return Err(Failure::invalid(format!(
            "{place} holds a secret of the target, but without a target_user it would not have to prove itself: add ?target_user=NAME to the URL, or leave that secret out"
        )));
    }
    if url.user.is_some() && url.secret.is_none() {
        url.secret = parse(ours)?;
    }
    if url.target_user.is_some() && url.target_secret.is_none() {
        url.target_secret = parse(theirs)?;
    }
    match &url.user {
        Some(user) if url.secret.is_none() => Err(Failure::invalid(format!(
            "there is no secret for the user {user:?}: give it by --secret-file or in RISCSI_SECRET"
        ))),
        _ => Ok(()),
    }
}

fn parse(text: Option<Zeroizing<String>>) -> Result<Option<Secret>, Failure> {
    let secret: Option<Result<Secret, CredentialError>> = text.map(|text| text.parse());
    secret.transpose().map_err(Failure::invalid)
}

/// Reads the file that `--secret-file` names.
pub(crate) fn read_secrets(path: &Path) -> Result<Secrets, Failure> {
    let mut text = Zeroizing::new(String::new());
    let read = File::open(path).and_then(|file| file.take(MAX_SECRET_FILE).read_to_string(&mut text));
    read.map_err(|error| Failure::new(Exit::Failure, format!("cannot read {}: {error}", path.display())))?;
    Secrets::new(&text).map_err(Failure::invalid)
}

/// A secret from the environment. Empty is none.
pub(crate) fn variable(name: &str) -> Result<Option<Zeroizing<String>>, Failure> {
    match env::var(name) {
        Ok(value) => Ok(Some(Zeroizing::new(value)).filter(|value| !value.is_empty())),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(Failure::invalid(format!("{name} is not UTF-8"))),
    }
}
