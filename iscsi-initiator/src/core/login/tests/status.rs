//! Refusals, redirections, and what the target says about itself.

use super::*;

fn refuse(talk: Talk, class: u8, detail: u8) -> Heard {
    talk.says_but(&[], |response| response.status = LoginStatus::new(class, detail))
}

#[test]
fn r100_r104_every_status_of_class_2_and_3_is_a_refusal_whatever_else_the_header_holds() {
    for class in [2, 3] {
        for detail in 0..=255 {
            let talk = operational(config());
            let mut response = talk.response();
            response.status = LoginStatus::new(class, detail);
            response.numbering = Numbering::default();
            response.tsih = 0xffff;
            response.version_active = 9;
            let mut header = response.encode();
            header.0[1] = 0xff;
            let error = talk.hears(&header, b"\xff no text").failed();
            assert_eq!(error.status(), Some(LoginStatus::new(class, detail)));
            assert_eq!(error.is_retriable(), class == 3, "R-103");
        }
    }
}

#[test]
fn r100_a_reserved_class_ends_the_login() {
    for class in 4..=255 {
        assert_eq!(refuse(start(config()), class, 0).misbehaved(), PeerMisbehaved::LoginStatusClass { class });
    }
}

#[test]
fn r138_a_failed_authentication_is_told_apart_by_how_far_it_came() {
    let advice = |talk| match refuse(talk, 2, 1).failed() {
        LoginError::Refused { status: LoginStatus::AUTHENTICATION_FAILURE, advice } => advice,
        other => panic!("{other:?}"),
    };
    assert!(advice(start(config())).contains("give a user and a secret"));
    assert!(advice(start(one_way())).contains("does not take CHAP"));
    let method = |config| start(config).says(&[("AuthMethod", "CHAP")]).more();
    assert!(advice(method(one_way())).contains("algorithms"));
    let question = [("CHAP_A", "5"), ("CHAP_I", "1"), ("CHAP_C", "0x01020304")];
    let answered = |config| method(config).says(&question).more();
    assert_eq!(advice(answered(one_way())), "check the user and the secret");
    assert!(advice(answered(mutual())).contains("prove itself"));
}

#[test]
fn the_error_text_names_status_and_remedy() {
    let text = |class, detail| refuse(start(config()), class, detail).failed().to_string();
    assert_eq!(
        text(2, 1),
        "the target refused the login: authentication failure (02/01); it demands authentication: give a user and a \
         secret"
    );
    assert!(text(2, 2).contains("access list"));
    assert!(text(2, 3).contains("target name") && text(2, 3).contains("access list"));
    assert!(text(3, 1).contains("try again later"));
}

#[test]
fn a_connection_that_the_target_closes_during_login_says_what_it_may_mean() {
    let text = |talk: Talk| talk.login.closed().to_string();
    assert_eq!(
        text(start(config())),
        "the target closed the connection during login: some targets do so to demand authentication: give a user and \
         a secret; or nobody there speaks iSCSI, or not without TLS"
    );
    assert!(text(start(one_way())).contains("check the user and the secret"));
    assert!(text(operational(config())).contains("digest"));
}

fn redirect(texts: &[&str]) -> Heard {
    let pairs: Vec<(&str, &str)> = texts.iter().map(|text| ("TargetAddress", *text)).collect();
    start(config()).says_but(&pairs, |response| response.status = LoginStatus::MOVED_TEMPORARILY)
}

#[test]
fn r101_r102_a_redirection_names_addresses_with_or_without_port_and_tag() {
    for (text, printed) in [
        ("10.0.0.1", "10.0.0.1:3260"),
        ("10.0.0.1:3261", "10.0.0.1:3261"),
        ("[2001:db8::1]:3261", "[2001:db8::1]:3261"),
        ("array.example.com", "array.example.com:3260"),
        ("10.0.0.1:3260,1", "10.0.0.1:3260,1"),
    ] {
        let Redirect { addresses, permanent, authenticated } = redirect(&[text]).redirect();
        assert_eq!(addresses.iter().map(ToString::to_string).collect::<Vec<_>>(), [printed]);
        assert!(!permanent && !authenticated);
    }
}

#[test]
fn r101_only_detail_2_is_permanent() {
    for (detail, permanent) in [(0, false), (1, false), (2, true), (3, false), (255, false)] {
        let heard = start(config()).says_but(&[("TargetAddress", "10.0.0.1"), ("TargetName", TARGET)], |response| {
            response.status = LoginStatus::new(1, detail);
            response.numbering = Numbering::default();
        });
        assert_eq!(heard.redirect().permanent, permanent);
    }
}

#[test]
fn r101_addresses_that_lead_nowhere_are_left_out() {
    let bad = ["0.0.0.0", "[::]:3260", "224.0.0.1", "255.255.255.255:3260", "[ff02::1]", "[::1", "10.0.0.1:0", ""];
    assert_eq!(redirect(&bad).misbehaved(), PeerMisbehaved::RedirectWithoutAddress);
    assert_eq!(redirect(&[]).misbehaved(), PeerMisbehaved::RedirectWithoutAddress);
    let mixed: Vec<&str> = bad.into_iter().chain(["10.0.0.9"]).collect();
    assert_eq!(redirect(&mixed).redirect().addresses.len(), 1);
    let heard = start(config()).sends(b"TargetAddress\0", |response| response.status = LoginStatus::MOVED_PERMANENTLY);
    assert_eq!(heard.misbehaved(), PeerMisbehaved::RedirectWithoutAddress);
}

#[test]
fn r101_the_number_of_addresses_is_bounded() {
    let many: Vec<String> = (0..200).map(|at| format!("10.0.0.{at}")).collect();
    let texts: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(redirect(&texts).redirect().addresses.len(), 64);
}

#[test]
fn r101_a_redirection_to_another_login_is_told_by_its_tag() {
    let heard = start(config()).says_but(&[("TargetAddress", "10.0.0.1")], |response| {
        response.status = LoginStatus::MOVED_TEMPORARILY;
        response.isid = Isid([1; 6]);
    });
    heard.redirect();
}

#[test]
fn r105_another_portal_group_than_expected_ends_the_login() {
    let expecting = |tag| LoginConfig { expected_tpgt: Some(tag), ..config() };
    let says = |tag, text: &str| start(expecting(tag)).says(&[("TargetPortalGroupTag", text), ("AuthMethod", "None")]);
    for (tag, text) in [(1, "1"), (0, "0"), (65535, "65535"), (255, "0xff")] {
        assert_eq!(says(tag, text).more().ends(&[]).done().tpgt, Some(tag));
    }
    for (expected, found) in [(1, 2), (1, 0), (0, 1)] {
        let error = says(expected, &found.to_string()).failed();
        assert_eq!(error, LoginError::PortalGroup { expected, found });
    }
}

#[test]
fn r105_a_portal_group_tag_has_16_bits() {
    for text in ["65536", "-1", "", "x", "01"] {
        let error = start(config()).says(&[("TargetPortalGroupTag", text), ("AuthMethod", "None")]).failed();
        assert!(matches!(error, LoginError::Negotiation(_)), "{text}");
    }
}

#[test]
fn r106_a_missing_portal_group_tag_is_tolerated() {
    let config = LoginConfig { expected_tpgt: Some(1), ..config() };
    assert_eq!(operational(config).ends(&[]).done().tpgt, None);
}

#[test]
fn r114_what_the_target_declares_about_itself_is_kept_in_every_stage() {
    let alias = "a\u{1b}[2J";
    let pairs = [("TargetAlias", alias), ("TargetAddress", "10.0.0.1:3260,1"), ("AuthMethod", "None")];
    let done = start(config()).says(&pairs).more().ends(&[("TargetPortalGroupTag", "5")]).done();
    assert_eq!(done.target_alias.as_deref(), Some(alias));
    assert_eq!(done.target_addresses[0].to_string(), "10.0.0.1:3260,1");
    assert_eq!(done.tpgt, Some(5));
    let many = vec![("TargetAddress", "10.0.0.1"); 100];
    assert_eq!(operational(config()).ends(&many).done().target_addresses.len(), 64);
}
