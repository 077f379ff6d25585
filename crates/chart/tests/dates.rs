//! Times, layouts and durations, as Helm prints and refuses them, row by row.

use tubectl_chart::Chart;
use tubectl_chart::Options;
use tubectl_chart::Values;
use tubectl_chart::render;

fn print(expression: &str) -> Result<String, String> {
    let files = [
        ("Chart.yaml", "apiVersion: v2\nname: t\nversion: 1.0.0\n".to_owned()),
        ("templates/NOTES.txt", format!("{{{{ {expression} }}}}")),
    ];
    let files = files.map(|(name, text)| (name.to_owned(), text.into_bytes()));
    let chart = Chart::from_files(files).map_err(|error| error.to_string())?;
    let rendered = render(&chart, &Values::default(), &Options::new("rel", "ns")).map_err(|error| error.to_string())?;
    Ok(rendered.notes.unwrap_or_default())
}

#[test]
fn times_and_durations_print_as_in_go() {
    let rows = [
        (r#"toDate "2006-01-02" "2024-02-29""#, "2024-02-29 00:00:00 +0000 UTC"),
        (r#"toDate "2006-01-02" "nonsense""#, "0001-01-01 00:00:00 +0000 UTC"),
        (
            r#"toDate "2006-01-02T15:04:05Z07:00" "2024-02-29T13:14:15+02:00""#,
            "2024-02-29 13:14:15 +0200 +0200",
        ),
        (
            r#"toDate "2006-01-02T15:04:05.000Z07:00" "2024-02-29T13:14:15.123+02:30""#,
            "2024-02-29 13:14:15.123 +0230 +0230",
        ),
        (
            r#"toDate "Mon Jan _2 15:04:05 MST 2006" "Thu Feb  9 05:06:07 CET 2023""#,
            "2023-02-09 05:06:07 +0000 CET",
        ),
        (
            r#"toDate "Monday, 02-Jan-06 15:04:05 MST" "Sunday, 06-Nov-94 08:49:37 GMT""#,
            "1994-11-06 08:49:37 +0000 GMT",
        ),
        (r#"toDate "3:04PM" "12:30AM""#, "0000-01-01 00:30:00 +0000 UTC"),
        (r#"toDate "2006-002" "2024-060""#, "2024-02-29 00:00:00 +0000 UTC"),
        (r#"toDate "2006 __2" "2023  60""#, "2023-03-01 00:00:00 +0000 UTC"),
        (
            r#"toDate "15:04:05" "01:02:03.456789""#,
            "0000-01-01 01:02:03.456789 +0000 UTC",
        ),
        (
            r#"toDate "2006-01-02 -070000" "2024-01-01 -013005""#,
            "2024-01-01 00:00:00 -0130 -0130",
        ),
        (
            r#"dateModify "-1.5h" (toDate "2006-01-02" "2024-01-01")"#,
            "2023-12-31 22:30:00 +0000 UTC",
        ),
        (
            r#"date_modify "x" (toDate "2006-01-02" "2024-01-01")"#,
            "2024-01-01 00:00:00 +0000 UTC",
        ),
        (
            r#"date "2006-01-02 15:04:05" (dateModify "90m" (toDate "2006-01-02" "2024-01-01"))"#,
            "2024-01-01 01:30:00",
        ),
        (
            r#"date "January Jan Janet Monday Mon Month MST 01 1 002 02 2 _2 __2 _2006 2006 06 15 3 03 4 04 5 05 PM pm -0700 -07:00 Z07:00 .000 .999 ,000000 .0001" (toDate "2006-01-02T15:04:05.999999999Z07:00" "2024-03-05T06:07:08.012345678-03:30")"#,
            "March Mar Janet Tuesday Tue Month UTC 03 3 065 05 5  5  65 _2024 2024 24 09 9 09 37 37 8 08 AM am +0000 +00:00 Z .012 .012 ,012345 .0003",
        ),
        (r#"date "2006-01-02" 86400"#, "1970-01-02"),
        (r#"date "2006-01-02" (int64 86400)"#, "1970-01-02"),
        (r#"htmlDate (toDate "2006-01-02" "2024-12-31")"#, "2024-12-31"),
        (
            r#"htmlDateInZone (toDate "2006-01-02" "2024-12-31") "Asia/Tokyo""#,
            "2024-12-31",
        ),
        (
            r#"dateInZone "15:04 MST -0700" (toDate "2006-01-02" "2024-07-01") "Europe/Berlin""#,
            "02:00 CEST +0200",
        ),
        (
            r#"dateInZone "15:04 MST -0700" (toDate "2006-01-02" "2024-07-01") "Nowhere/Land""#,
            "00:00 UTC +0000",
        ),
        (r#"unixEpoch (toDate "2006-01-02" "1969-12-31")"#, "-86400"),
        (r#"(toDate "2006-01-02" "2024-02-29").Year"#, "2024"),
        (r#"(toDate "2006-01-02" "2024-02-29").Month"#, "February"),
        (r#"(toDate "2006-01-02" "2024-02-29").YearDay"#, "60"),
        (r#"(toDate "2006-01-02" "2024-02-29").Weekday"#, "Thursday"),
        (r#"(toDate "2006-01-02" "2024-02-29").Unix"#, "1709164800"),
        (r#"(toDate "2006-01-02" "x").IsZero"#, "true"),
        (r#"(toDate "2006-01-02" "2024-02-29").Format "Jan 2""#, "Feb 29"),
        ("duration 95", "0s"),
        (r#"duration "95""#, "1m35s"),
        ("duration (int64 3661)", "1h1m1s"),
        (r#"duration "-5""#, "-5s"),
        ("duration 1.5", "0s"),
        (r#"duration "x""#, "0s"),
        (r#"duration "99999999999999999999""#, "-1s"),
        (r#"durationRound "2h35m10s""#, "2h"),
        (r#"durationRound "8760h""#, "12mo"),
        (r#"durationRound "8761h""#, "1y"),
        (r#"durationRound "-800h""#, "1mo"),
        ("durationRound (int64 90000000000)", "1m"),
        (r#"durationRound "junk""#, "0s"),
        ("durationRound 90", "0s"),
        (
            r#"toDate "2006-01-02" "2024-02-29" | toJson"#,
            r#""2024-02-29T00:00:00Z""#,
        ),
        (
            r#"toDate "2006-01-02" "2024-02-29" | toYaml"#,
            r#""2024-02-29T00:00:00Z""#,
        ),
        (
            r#"toDate "2006-01-02" "2024-02-29" | quote"#,
            r#""2024-02-29 00:00:00 +0000 UTC""#,
        ),
        (
            r#"toDate "2006-01-02T15:04:05-0700" "2024-02-29T10:00:00+0000""#,
            "2024-02-29 10:00:00 +0000 UTC",
        ),
        (
            r#"toDate "2006-01-02 MST" "2024-02-29 GMT+3""#,
            "2024-02-29 03:00:00 +0300 GMT+3",
        ),
        (r#"toDate "02.01.2006" "31.04.2024""#, "0001-01-01 00:00:00 +0000 UTC"),
        (r#"toDate "Jan 2 2006" "feb 29 2024""#, "2024-02-29 00:00:00 +0000 UTC"),
        (
            r#"toDate "January 2 2006" "FEBRUARY 9 2024""#,
            "2024-02-09 00:00:00 +0000 UTC",
        ),
        (r#"mustToDate "2006-01-02" "2024-02-28" | date "02/01/06""#, "28/02/24"),
        (r#"typeOf (toDate "2006" "2020")"#, "time.Time"),
    ];
    for (expression, expected) in rows {
        assert_eq!(print(expression).as_deref(), Ok(expected), "{expression}");
    }
}

#[test]
fn what_is_no_time_is_refused_in_the_words_of_go() {
    let rows = [
        (
            r#"mustToDate "2006-01-02" "x""#,
            r#"parsing time "x" as "2006-01-02": cannot parse "x" as "2006""#,
        ),
        (
            r#"mustToDate "2006-01-02" "2024-13-01""#,
            r#"parsing time "2024-13-01": month out of range"#,
        ),
        (
            r#"mustToDate "2006-01-02" "2024-02-30""#,
            r#"parsing time "2024-02-30": day out of range"#,
        ),
        (
            r#"mustToDate "2006-01-02" "2024-02-03 ""#,
            r#"parsing time "2024-02-03 ": extra text: " ""#,
        ),
        (
            r#"mustToDate "2006-01-02 15:04" "2024-02-03 25:00""#,
            r#"parsing time "2024-02-03 25:00": hour out of range"#,
        ),
        (
            r#"mustToDate "15:04:05" "10:61:00""#,
            r#"parsing time "10:61:00": minute out of range"#,
        ),
        (
            r#"mustToDate "Jan 2" "Foo 3""#,
            r#"parsing time "Foo 3" as "Jan 2": cannot parse "Foo 3" as "Jan""#,
        ),
        (
            r#"mustToDate "3PM" "3XM""#,
            r#"parsing time "3XM" as "3PM": cannot parse "XM" as "PM""#,
        ),
        (
            r#"mustToDate "2006-01-02 MST" "2024-01-01 abc""#,
            r#"parsing time "2024-01-01 abc" as "2006-01-02 MST": cannot parse "abc" as "MST""#,
        ),
        (
            r#"mustToDate "2006-01-02 -0700" "2024-01-01 0700""#,
            r#"parsing time "2024-01-01 0700" as "2006-01-02 -0700": cannot parse "0700" as "-0700""#,
        ),
        (
            r#"mustToDate "2006-01-02 -0700" "2024-01-01 +9900""#,
            r#"parsing time "2024-01-01 +9900": time zone offset hour out of range"#,
        ),
        (
            r#"mustToDate "2006é" "2024x""#,
            r#"parsing time "2024x" as "2006\xc3\xa9": cannot parse "x" as "\xc3\xa9""#,
        ),
        (
            r#"mustToDate ".000" ".12""#,
            r#"parsing time ".12" as ".000": cannot parse ".12" as ".000""#,
        ),
        (r#"mustDateModify "x" (now)"#, r#"time: invalid duration "x""#),
        (
            r#"mustDateModify "1x" (now)"#,
            r#"time: unknown unit "x" in duration "1x""#,
        ),
        (r#"mustDateModify "1" (now)"#, r#"time: missing unit in duration "1""#),
        (
            r#"mustDateModify "9999999999999h" (now)"#,
            r#"time: invalid duration "9999999999999h""#,
        ),
    ];
    for (expression, expected) in rows {
        let error = print(expression).expect_err(expression);
        assert!(error.contains(expected), "{expression}\n{error}\n{expected}");
    }
}

#[test]
fn now_is_what_the_options_say() {
    assert_eq!(print("now | unixEpoch").as_deref(), Ok("0"));
    assert_eq!(print("ago (int64 -5)").as_deref(), Ok("5s"));
    assert_eq!(
        print("durationRound (toDate \"2006-01-02\" \"1969-12-01\")").as_deref(),
        Ok("1mo")
    );
}
