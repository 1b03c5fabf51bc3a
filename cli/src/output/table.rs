//! ASCII tables as LXD's client draws them: centred headers, a line between rows.

use unicode_width::UnicodeWidthStr;

/// The table of `rows` under `header`. `ruled` has lines around the cells; the other kind only spaces.
pub(crate) fn table(header: &[String], rows: &[Vec<String>], ruled: bool) -> String {
    let widths = widths(header, rows);
    let mut text = String::new();
    let rule = rule(&widths);
    if ruled {
        text.push_str(&rule);
    }
    let titles: Vec<String> = header.iter().map(|title| title.to_uppercase()).collect();
    push_row(&mut text, &titles, &widths, ruled, centred);
    if ruled {
        text.push_str(&rule);
    }
    for row in rows {
        push_row(&mut text, row, &widths, ruled, left);
        if ruled {
            text.push_str(&rule);
        }
    }
    text
}

fn widths(header: &[String], rows: &[Vec<String>]) -> Vec<usize> {
    let widest = |cell: &str| cell.lines().map(UnicodeWidthStr::width).max().unwrap_or(0);
    (0..header.len())
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| widest(cell));
            cells.chain([widest(&header[column])]).max().unwrap_or(0)
        })
        .collect()
}

fn rule(widths: &[usize]) -> String {
    let dashes: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
    format!("+{}+\n", dashes.join("+"))
}

/// One row, as many lines high as its highest cell.
fn push_row(text: &mut String, row: &[String], widths: &[usize], ruled: bool, align: fn(&str, usize) -> String) {
    let cells: Vec<Vec<&str>> = row.iter().map(|cell| cell.lines().collect()).collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or(0).max(1);
    for line in 0..height {
        let parts: Vec<String> = widths
            .iter()
            .enumerate()
            .map(|(column, width)| {
                let cell = cells.get(column).and_then(|lines| lines.get(line)).copied().unwrap_or_default();
                format!(" {} ", align(cell, *width))
            })
            .collect();
        text.push_str(&if ruled { format!("|{}|\n", parts.join("|")) } else { format!(" {} \n", parts.concat()) });
    }
}

fn left(cell: &str, width: usize) -> String {
    format!("{cell}{}", " ".repeat(width.saturating_sub(cell.width())))
}

fn centred(cell: &str, width: usize) -> String {
    let gap = width.saturating_sub(cell.width());
    format!("{}{cell}{}", " ".repeat(gap / 2), " ".repeat(gap - gap / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn draws_what_lxc_draws() {
        let rows = [strings(&["c1", "RUNNING", "10.0.0.1 (eth0)\n10.0.1.1 (eth1)"]), strings(&["c3", "", ""])];
        let drawn = table(&strings(&["Name", "State", "IPv4"]), &rows, true);
        assert_eq!(
            drawn,
            "\
+------+---------+-----------------+
| NAME |  STATE  |      IPV4       |
+------+---------+-----------------+
| c1   | RUNNING | 10.0.0.1 (eth0) |
|      |         | 10.0.1.1 (eth1) |
+------+---------+-----------------+
| c3   |         |                 |
+------+---------+-----------------+
"
        );
    }

    #[test]
    fn compact_tables_have_spaces_only() {
        let drawn = table(&strings(&["NAME", "STATE"]), &[strings(&["c1", "RUNNING"])], false);
        assert_eq!(drawn, "  NAME   STATE   \n  c1    RUNNING  \n");
    }

    #[test]
    fn an_empty_table_is_its_header() {
        assert_eq!(table(&strings(&["A"]), &[], true), "+---+\n| A |\n+---+\n");
    }
}
