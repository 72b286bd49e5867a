//! Logging in and out by startup class.

use super::Tool;
use super::target::Target;

const NAMES: [&str; 3] = ["iqn.2001-04.com.example:a", "iqn.2001-04.com.example:m", "iqn.2001-04.com.example:o"];

/// The last letters of the targets that have a session.
fn live(tool: &Tool) -> String {
    let (out, _, _) = tool.run("-m session");
    let mut letters: Vec<char> = out.lines().filter_map(|line| line.split(" (").next()?.chars().last()).collect();
    letters.sort_unstable();
    letters.into_iter().collect()
}

#[test]
fn a_class_is_logged_in_and_out() {
    let target = Target::start(&[0]);
    let tool = Tool::new();
    for (name, class) in NAMES.iter().zip(["automatic", "manual", "onboot"]) {
        tool.add(name, &target);
        for key in ["node.startup", "node.conn[0].startup"] {
            tool.ok(&format!("-m node -T {name} -o update -n {key} -v {class}"));
        }
    }
    tool.ok("-m node -L automatic");
    assert_eq!(live(&tool), "a");
    assert_eq!(tool.run("-m node -L automatic").2, 15);
    tool.ok("-m node -L onboot");
    assert_eq!(live(&tool), "ao");
    let (out, _, code) = tool.run("-m node -L all");
    assert_eq!((out.lines().count(), code), (1, 15), "the one that is missing comes, the others are there");
    assert_eq!(live(&tool), "amo");
    tool.ok("-m node -U manual");
    assert_eq!(live(&tool), "ao");
    tool.ok("-m node -U all");
    assert_eq!(live(&tool), "o", "what the machine boots from stays");
}

#[test]
fn of_a_target_with_leading_login_one_portal_is_enough() {
    let targets = [Target::start(&[0]), Target::start(&[0])];
    let tool = Tool::new();
    for target in &targets {
        tool.add(NAMES[0], target);
    }
    for (key, value) in [("node.leading_login", "Yes"), ("node.startup", "automatic")] {
        tool.ok(&format!("-m node -T {} -o update -n {key} -v {value}", NAMES[0]));
    }
    tool.ok("-m node -L automatic");
    assert_eq!(live(&tool), "a");
    tool.ok("-m node -L automatic");
    assert_eq!(live(&tool), "a");
}
