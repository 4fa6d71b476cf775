use serde_json::json;

use super::*;

fn contexts() -> Contexts {
    let mut contexts = Contexts::default()
        .with("github", json!({"event_name": "push", "event": {"number": 7, "draft": false}}))
        .with("vars", json!({"PRUNE_APPLY": "True"}))
        .with("needs", json!({"plan": {"outputs": {"matrix": "{\"service\":[\"web\"]}"}}}));
    contexts.later.insert("matrix".to_owned());
    contexts
}

fn check(expression: &str, expected: &Value) {
    assert_eq!(contexts().value(expression), Ok(expected.clone()), "{expression}");
}

#[test]
fn operators_bind_as_on_github() {
    check("true || false && false", &json!(true));
    check("(true || false) && false", &json!(false));
    check("!true == false", &json!(true));
    check("1 == 1 == true", &json!(true));
    check("github.event_name == 'push' && 'a' || 'b'", &json!("a"));
    check("github.event_name != 'push' && 'a' || 'b'", &json!("b"));
}

#[test]
fn values_are_compared_as_on_github() {
    check("vars.PRUNE_APPLY == 'true'", &json!(true));
    check("vars.NOT_SET == ''", &json!(true));
    check("vars.NOT_SET != 'true'", &json!(true));
    check("github.event.number == '7'", &json!(true));
    check("github.event.draft == 'x'", &json!(false));
    check("'it''s' == 'IT''S'", &json!(true));
}

#[test]
fn functions_that_are_known_have_their_value() {
    check("fromJSON(needs.plan.outputs.matrix)", &json!({"service": ["web"]}));
    check("needs['plan'].outputs.matrix != '{\"service\":[]}'", &json!(true));
    check("startsWith(github.event_name, 'PU')", &json!(true));
    check("contains(fromJSON('[\"a\",\"b\"]'), 'b')", &json!(true));
    check("endsWith('dev-cache', 'cache')", &json!(true));
}

#[test]
fn a_text_has_the_value_of_each_expression_in_its_place() {
    let text = |template| contexts().text(template);
    assert_eq!(text("a-${{ github.event.number }}-${{ '}}' }}"), Ok("a-7-}}".to_owned()));
    assert_eq!(text("plain"), Ok("plain".to_owned()));
    assert_eq!(text("${{ vars.NOT_SET }}"), Ok(String::new()));
    assert_eq!(contexts().holds("${{ github.event.draft }}"), Ok(false));
}

#[test]
fn what_is_not_known_is_named_and_not_guessed() {
    let unknown = |expression: &str| match contexts().value(expression) {
        Err(NoValue::Unknown(problem)) => problem,
        other => panic!("{other:?}"),
    };
    assert_eq!(unknown("inputs.x"), "there is no context `inputs` here");
    assert_eq!(
        unknown("hashFiles('x')"),
        "the function `hashFiles` with 1 arguments is not known here"
    );
    assert_eq!(unknown("1 < 2"), "`1 < 2`: `<` is not known here");
    assert_eq!(unknown("(1"), "`(1`: `)` is missing");
    assert_eq!(unknown("1 2"), "`1 2`: `2` is not expected there");
    assert_eq!(unknown("'a"), "`'a`: a `'` is not closed");
    assert_eq!(contexts().value("matrix.x"), Err(NoValue::Later("matrix.x".to_owned())));
}

#[test]
fn the_paths_that_an_expression_reads_are_found() {
    let found = paths("${{ a.b }} and ${{ fromJSON(needs.x.outputs['y']) || !c.d }}").unwrap();
    let found: Vec<String> = found.iter().map(|path| path.join(".")).collect();
    assert_eq!(found, ["a.b", "needs.x.outputs.y", "c.d"]);
    assert_eq!(paths("needs.x != ''").unwrap()[0].join("."), "needs.x");
    assert_eq!(only_expression("${{ github.token }}"), Some("github.token"));
    assert_eq!(only_expression("x ${{ github.token }}"), None);
    assert_eq!(only_expression("${{ a }}${{ b }}"), None);
}
