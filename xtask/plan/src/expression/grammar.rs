//! Reads the text of an expression. `||` binds least, then `&&`, then `==` and `!=`, then `!`.

use serde_json::Value;

use super::Expression;

/// The expression that `text` is, the whole of it.
pub(super) fn parse(text: &str) -> Result<Expression, String> {
    let tokens = tokens(text)?;
    let mut reader = Reader { text, tokens: &tokens };
    let expression = reader.either()?;
    match reader.tokens.first() {
        None => Ok(expression),
        Some(token) => Err(reader.unexpected(token)),
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Text(String),
    /// A name or a number.
    Word(String),
    Sign(&'static str),
}

const SIGNS: [&str; 11] = ["||", "&&", "==", "!=", "!", "(", ")", "[", "]", ".", ","];

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if first == '\'' {
            let (literal, length) =
                quoted(rest).ok_or_else(|| format!("`{text}`: a `'` is not closed"))?;
            tokens.push(Token::Text(literal));
            length
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            tokens.push(Token::Sign(sign));
            sign.len()
        } else {
            let of_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
            let length = rest.find(|c: char| !of_word(c)).unwrap_or(rest.len());
            if length == 0 {
                return Err(format!("`{text}`: `{first}` is not known here"));
            }
            tokens.push(Token::Word(rest.get(..length).unwrap_or_default().to_owned()));
            length
        };
        rest = rest.get(length..).unwrap_or_default().trim_start();
    }
    Ok(tokens)
}

/// The text between single quotes, in which two of them stand for one, and the length of all.
fn quoted(rest: &str) -> Option<(String, usize)> {
    let mut literal = String::new();
    let mut characters = rest.char_indices().skip(1).peekable();
    while let Some((position, c)) = characters.next() {
        if c == '\'' && characters.next_if(|(_, next)| *next == '\'').is_none() {
            return Some((literal, position + 1));
        }
        literal.push(c);
    }
    None
}

struct Reader<'t> {
    text: &'t str,
    tokens: &'t [Token],
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Option<&'t Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    fn took(&mut self, sign: &str) -> bool {
        let is_there = matches!(self.tokens.first(), Some(Token::Sign(there)) if *there == sign);
        if is_there {
            self.next();
        }
        is_there
    }

    fn unexpected(&self, token: &Token) -> String {
        let shown = match token {
            Token::Text(text) | Token::Word(text) => text,
            Token::Sign(sign) => *sign,
        };
        format!("`{}`: `{shown}` is not expected there", self.text)
    }

    fn must(&mut self, sign: &str) -> Result<(), String> {
        if self.took(sign) { Ok(()) } else { Err(format!("`{}`: `{sign}` is missing", self.text)) }
    }

    fn either(&mut self) -> Result<Expression, String> {
        let mut left = self.both()?;
        while self.took("||") {
            left = Expression::Or(Box::new(left), Box::new(self.both()?));
        }
        Ok(left)
    }

    fn both(&mut self) -> Result<Expression, String> {
        let mut left = self.comparison()?;
        while self.took("&&") {
            left = Expression::And(Box::new(left), Box::new(self.comparison()?));
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Result<Expression, String> {
        let mut left = self.opposite()?;
        loop {
            let wanted = match () {
                () if self.took("==") => true,
                () if self.took("!=") => false,
                () => return Ok(left),
            };
            left = Expression::Equal(Box::new(left), Box::new(self.opposite()?), wanted);
        }
    }

    fn opposite(&mut self) -> Result<Expression, String> {
        if self.took("!") {
            return Ok(Expression::Not(Box::new(self.opposite()?)));
        }
        self.operand()
    }

    fn operand(&mut self) -> Result<Expression, String> {
        match self.next() {
            Some(Token::Text(text)) => Ok(Expression::Literal(Value::String(text.clone()))),
            Some(Token::Sign("(")) => {
                let inner = self.either()?;
                self.must(")")?;
                Ok(inner)
            }
            Some(Token::Word(word)) => self.word(word),
            Some(token) => Err(self.unexpected(token)),
            None => Err(format!("`{}`: it ends too early", self.text)),
        }
    }

    fn word(&mut self, word: &str) -> Result<Expression, String> {
        let literal = match word {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            "null" => Some(Value::Null),
            _ => word.parse::<i64>().ok().map(Value::from),
        };
        if let Some(literal) = literal {
            return Ok(Expression::Literal(literal));
        }
        if self.took("(") {
            return Ok(Expression::Call(word.to_owned(), self.arguments()?));
        }
        let mut path = vec![word.to_owned()];
        loop {
            if self.took(".") {
                match self.next() {
                    Some(Token::Word(key)) => path.push(key.clone()),
                    Some(token) => return Err(self.unexpected(token)),
                    None => return Err(format!("`{}`: it ends too early", self.text)),
                }
            } else if self.took("[") {
                match self.next() {
                    Some(Token::Text(key) | Token::Word(key)) => path.push(key.clone()),
                    _ => return Err(format!("`{}`: only `['name']` is known here", self.text)),
                }
                self.must("]")?;
            } else {
                return Ok(Expression::Path(path));
            }
        }
    }

    fn arguments(&mut self) -> Result<Vec<Expression>, String> {
        let mut arguments = Vec::new();
        if self.took(")") {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.either()?);
            if self.took(")") {
                return Ok(arguments);
            }
            self.must(",")?;
        }
    }
}
