use proptest::prelude::*;

use super::*;

const IQN: &str = "iqn.2001-04.com.example:disk1";

fn url(text: &str) -> IscsiUrl {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn failed(text: &str) -> UrlError {
    text.parse::<IscsiUrl>().expect_err(text)
}

fn secret(text: &str) -> Secret {
    text.parse().unwrap()
}

#[test]
fn r112_the_port_is_3260_unless_written() {
    for (text, portal) in [
        ("iscsi://10.0.0.1", "10.0.0.1:3260"),
        ("ISCSI://10.0.0.1/", "10.0.0.1:3260"),
        ("iscsi://10.0.0.1:860", "10.0.0.1:860"),
        ("iscsi://Array.example.com:3261", "array.example.com:3261"),
        ("iscsi://[2001:db8::1]", "[2001:db8::1]:3260"),
        ("iscsi://[2001:db8::1]:3261/", "[2001:db8::1]:3261"),
        ("iscsi://[fe80::1%eth0]", "[fe80::1%eth0]:3260"),
        ("iscsi://[fe80::1%25eth0]:1", "[fe80::1%eth0]:1"),
        ("iscsi://alice%p@[fe80::1%25eth0]:1", "[fe80::1%eth0]:1"),
    ] {
        assert_eq!(url(text).portal.to_string(), portal, "{text}");
    }
}

#[test]
fn the_path_is_target_and_lun() {
    let path = |path: &str| {
        let url = url(&format!("iscsi://h{path}"));
        (url.target.map(|name| name.as_written().to_owned()), url.lun)
    };
    let lun = Lun::from_number;
    assert_eq!(path(""), (None, None));
    assert_eq!(path("/"), (None, None));
    assert_eq!(path(&format!("/{IQN}")), (Some(IQN.into()), None));
    assert_eq!(path(&format!("/{IQN}/")), (Some(IQN.into()), None));
    assert_eq!(path(&format!("/{IQN}/7")), (Some(IQN.into()), lun(7)));
    assert_eq!(path(&format!("/{IQN}/300/")), (Some(IQN.into()), lun(300)));
    assert_eq!(path(&format!("/{IQN}/0x0007000000000000")), (Some(IQN.into()), lun(7)));
    assert_eq!(path("/iqn.2001-04.com.example%3ADisk1/%37"), (Some("iqn.2001-04.com.example:Disk1".into()), lun(7)));
}

#[test]
fn a_path_of_another_shape_is_refused() {
    for path in ["//1", "///", &format!("/{IQN}//"), &format!("/{IQN}/1/2"), &format!("//{IQN}/1")] {
        assert_eq!(failed(&format!("iscsi://h{path}")), UrlError::Path, "{path}");
    }
    assert!(matches!(failed("iscsi://h/disk1/0"), UrlError::Target(_)));
    for lun in ["x", "-1", "16777216", "1e3"] {
        assert!(matches!(failed(&format!("iscsi://h/{IQN}/{lun}")), UrlError::Lun(_)), "{lun}");
    }
}

#[test]
fn user_and_secret_stand_before_the_host() {
    for (text, user, password) in [
        ("alice", "alice", None),
        ("alice%alicesecret12", "alice", Some("alicesecret12")),
        ("alice%abcdef", "alice", Some("abcdef")),
        ("alice%p%40ss%2Fw%25rd", "alice", Some("p@ss/w%rd")),
        ("alice%p@ss:word#1", "alice", Some("p@ss:word#1")),
        ("al%40ice%secret", "al@ice", Some("secret")),
        ("iqn.1994-05.com.example:host%secret", "iqn.1994-05.com.example:host", Some("secret")),
        ("alice%0x000102", "alice", Some("0x000102")),
        ("alice%%00%01%02", "alice", Some("0x000102")),
        ("alice%%ff%fe", "alice", Some("0xfffe")),
    ] {
        let url = url(&format!("iscsi://{text}@h/{IQN}/0"));
        assert_eq!(url.user.as_deref(), Some(user), "{text}");
        assert_eq!(url.secret, password.map(secret), "{text}");
        assert_eq!(url.portal.to_string(), "h:3260", "{text}");
    }
}

#[test]
fn a_user_part_that_is_none_is_refused() {
    assert_eq!(failed("iscsi://@h"), UrlError::User);
    assert_eq!(failed("iscsi://%secret@h"), UrlError::User);
    assert_eq!(failed("iscsi://al%0aice%secret@h"), UrlError::User);
    assert_eq!(failed("iscsi://alice%@h"), CredentialError::EmptySecret.into());
    assert_eq!(failed("iscsi://alice%p%w@h"), UrlError::Escape { part: "secret" });
    assert_eq!(failed("iscsi://alice%p%4@h"), UrlError::Escape { part: "secret" });
    assert_eq!(failed("iscsi://al%ffice%secret@h"), UrlError::Escape { part: "user" });
}

#[test]
fn r137_a_secret_that_was_not_encoded_is_not_shown_by_the_error() {
    for text in ["iscsi://alice%hu/sh@h/x", "iscsi://alice%hu?sh@h/x", "iscsi://alice%hush", "iscsi://al%hu%sh:x@"] {
        let error = failed(text);
        assert!(!format!("{error} {error:?}").contains("hu"), "{error:?}");
    }
    assert_eq!(failed("iscsi://alice%hu/sh@h/x"), UrlError::Authority);
    assert_eq!(failed("iscsi://alice%hu?sh@h/x"), UrlError::Authority);
    assert_eq!(failed("iscsi://h?target_password=hu&sh"), UrlError::AfterSecret);
}

#[test]
fn the_query_sets_digests_and_names() {
    let read = url("iscsi://h?header_digest=CRC32C&data_digest=crc32c%2Cnone&auth=sha3-256,MD5\
         &initiator=iqn.2001-04.com.example:host&user=a%26b&password=p%26w+&target_user=array&target_password=x%3Dy&");
    assert_eq!(read.header_digest, Some(DigestOffer::Crc32c));
    assert_eq!(read.data_digest, Some(DigestOffer::PreferCrc32c));
    assert_eq!(read.algorithms, [Algorithm::Sha3_256, Algorithm::Md5]);
    assert_eq!(read.initiator.unwrap().as_str(), "iqn.2001-04.com.example:host");
    assert_eq!((read.user.as_deref(), read.secret), (Some("a&b"), Some(secret("p&w+"))));
    assert_eq!((read.target_user.as_deref(), read.target_secret), (Some("array"), Some(secret("x=y"))));
    assert_eq!(url("iscsi://h?header_digest=none").header_digest, Some(DigestOffer::None));
    assert_eq!(url("iscsi://h?header_digest=none,crc32c").header_digest, Some(DigestOffer::PreferNone));
    assert_eq!(url("iscsi://h/?"), url("iscsi://h"));
}

#[test]
fn a_query_key_that_is_not_known_is_refused_with_those_that_are() {
    for (query, key) in [("digest=crc32c", "digest"), ("Header_Digest=none", "Header_Digest"), ("x", "x"), ("=", "")] {
        let error = failed(&format!("iscsi://h?{query}"));
        assert_eq!(error, UrlError::UnknownKey { key: key.into() });
        assert!(QUERY_KEYS.iter().all(|known| error.to_string().contains(known)), "{error}");
    }
}

#[test]
fn a_query_value_that_cannot_be_is_refused() {
    for (key, value) in
        [("header_digest", "md5"), ("data_digest", ""), ("auth", "md4"), ("auth", ""), ("initiator", "me")]
    {
        let error = failed(&format!("iscsi://h?{key}={value}"));
        assert!(matches!(&error, UrlError::Value { key: found, .. } if *found == key), "{error:?}");
    }
    assert_eq!(failed("iscsi://h?target_password="), CredentialError::EmptySecret.into());
    assert_eq!(failed("iscsi://h?target_user=%zz"), UrlError::Escape { part: "target_user" });
}

#[test]
fn what_is_given_twice_is_refused() {
    for (text, key) in [
        ("iscsi://h?header_digest=none&header_digest=none", "header_digest"),
        ("iscsi://alice@h?user=bob", "user"),
        ("iscsi://alice%x@h?password=y", "password"),
        ("iscsi://h?auth=md5&auth=sha1", "auth"),
    ] {
        assert_eq!(failed(text), UrlError::Twice { key }, "{text}");
    }
}

#[test]
fn other_schemes_are_refused() {
    for text in ["", "iscsi:", "iscsi:/h", "http://h", "iser://h", "10.0.0.1", "\u{e4}scsi://h"] {
        assert_eq!(failed(text), UrlError::Scheme, "{text}");
    }
    assert_eq!(failed("iscsi://"), PortalError::Empty.into());
    assert_eq!(failed("iscsi:///x"), PortalError::Empty.into());
}

#[test]
fn authentication_needs_every_secret() {
    assert_eq!(url("iscsi://h").auth(), Ok(Auth::None));
    let mut url = url("iscsi://alice@h?target_user=array&auth=sha1");
    assert_eq!(url.auth(), Err(UrlError::NoSecret { user: "alice".into() }));
    url.secret = Some(secret("alicesecret12"));
    assert_eq!(url.auth(), Err(UrlError::NoSecret { user: "array".into() }));
    url.target_secret = Some(secret("arraysecret12"));
    let Ok(Auth::Chap(chap)) = url.auth() else { panic!("{:?}", url.auth()) };
    assert_eq!((chap.initiator().user(), chap.target().unwrap().user()), ("alice", "array"));
    assert_eq!(chap.algorithms(), [Algorithm::Sha1]);
    url.target_secret = Some(secret("alicesecret12"));
    assert_eq!(url.auth(), Err(CredentialError::SameSecret.into()));
    url.user = None;
    assert_eq!(url.auth(), Err(UrlError::NoUser));
    url.secret = None;
    assert_eq!(url.auth(), Err(UrlError::TargetUserAlone));
}

#[test]
fn r137_neither_display_nor_debug_shows_a_secret() {
    let url = url(&format!("iscsi://alice%hushhush@h/{IQN}/0?target_user=array&target_password=whisper"));
    for printed in [url.to_string(), format!("{url:?}")] {
        assert!(printed.contains("alice") && printed.contains("array"));
        assert!(!printed.contains("hush") && !printed.contains("whisper"), "{printed}");
    }
    assert_eq!(url.to_string(), format!("iscsi://alice@h:3260/{IQN}/0?target_user=array"));
}

fn urls() -> impl Strategy<Value = IscsiUrl> {
    let digest = || {
        let offers = [DigestOffer::None, DigestOffer::Crc32c, DigestOffer::PreferCrc32c, DigestOffer::PreferNone];
        proptest::option::of(proptest::sample::select(offers.to_vec()))
    };
    let name = "iqn\\.2001-04\\.com\\.example:[a-z0-9\u{e4}.-]{0,9}";
    let user = || proptest::option::of("\\PC{1,20}");
    let place = (proptest::option::of((name, proptest::option::of(0..Lun::MAX_NUMBER))), proptest::option::of(name));
    (user(), user(), digest(), digest(), place, proptest::sample::subsequence(Algorithm::ALL.to_vec(), 0..4)).prop_map(
        |(user, target_user, header_digest, data_digest, (target, initiator), algorithms)| {
            let name = |text: String| IscsiName::new(&text).ok();
            let (target, lun) = target.map_or((None, None), |(text, lun)| (name(text), lun.and_then(Lun::from_number)));
            let lun = lun.filter(|_| target.is_some());
            let portal = "[2001:db8::1]:1".parse().unwrap();
            let initiator = initiator.and_then(name);
            IscsiUrl {
                user,
                target,
                lun,
                header_digest,
                data_digest,
                target_user,
                algorithms,
                initiator,
                ..IscsiUrl::new(portal)
            }
        },
    )
}

proptest! {
    #[test]
    fn what_is_displayed_reads_back(url in urls()) {
        prop_assert_eq!(url.to_string().parse(), Ok(url));
    }

    #[test]
    fn arbitrary_text_is_a_url_or_an_error(text: String, tail in "[a-z0-9%@/:?=&,\\[\\]]{0,40}") {
        for text in [text, format!("iscsi://{tail}")] {
            if let Ok(url) = text.parse::<IscsiUrl>() {
                let shown = IscsiUrl { secret: None, target_secret: None, ..url };
                prop_assert_eq!(shown.to_string().parse(), Ok(shown));
            }
        }
    }
}
