//! Text from outside, made fit for display.

/// Longest piece of foreign text in a message.
const QUOTED_CHARS_MAX: usize = 160;

/// Foreign text, cut to a length that fits a message and without characters that would steer a
/// terminal.
pub fn quoted(text: &str) -> String {
    let mut clean: String = text
        .chars()
        .take(QUOTED_CHARS_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(QUOTED_CHARS_MAX).is_some() {
        clean.push('…');
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_cut_and_steers_no_terminal() {
        assert_eq!(quoted("a\u{1b}[2Jb\n"), "a [2Jb ");
        assert_eq!(quoted(&"x".repeat(5000)).chars().count(), QUOTED_CHARS_MAX + 1);
    }
}
