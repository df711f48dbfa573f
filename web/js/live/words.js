// From a text to tokens, as companion/tokenizers/words.py cuts it: a Chinese character; a word
// with the blank before it; or anything else by itself.

const CHINESE =
  "\\u4E00-\\u9FFF\\u3400-\\u4DBF\\u{20000}-\\u{2A6DF}\\u{2A700}-\\u{2B73F}\\u{2B740}-\\u{2B81F}" +
  "\\u{2B820}-\\u{2CEAF}\\uF900-\\uFAFF\\u{2F800}-\\u{2FA1F}";
const TOKEN = new RegExp(`[${CHINESE}]| ?(?:(?![${CHINESE}])[\\p{L}\\p{M}\\p{N}_])+|.`, "gsu");
const IS_CHINESE = new RegExp(`[${CHINESE}]`, "u");

export const cut = (text) => text.match(TOKEN) ?? [];

export const isChinese = (text) => IS_CHINESE.test(text);
