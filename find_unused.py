"""Public names of companion, assign, tools, exercises(top), benchmarks? referenced only in tests."""
import ast, re, subprocess, json, pathlib, collections
files=subprocess.check_output(["git","ls-files"],text=True).split("\n")
def code(f):
    if f.endswith(".ipynb"):
        n=json.load(open(f)); return "\n".join("".join(c["source"]) for c in n["cells"])
    return open(f,encoding="utf-8").read()
texts={}
for f in files:
    if re.search(r"\.(py|ipynb|md|yml|toml|html|js|cfg|txt|jinja)$",f) or f in("Makefile","Dockerfile") or f.startswith((".ci",".github")):
        if f and pathlib.Path(f).is_file(): texts[f]=code(f)
words={f:collections.Counter(re.findall(r"\w+",t)) for f,t in texts.items()}
for f in files:
    if not f.endswith(".py") or f.split("/")[0] not in("companion","assign","tools","exercises"): continue
    if "skeleton" in f or re.match(r"exercises/\w+/",f): continue
    tree=ast.parse(texts[f])
    exported=[]
    for n in tree.body:
        if isinstance(n,ast.Assign) and getattr(n.targets[0],"id","")=="__all__":
            try: exported=ast.literal_eval(n.value)
            except Exception: pass
    for n in tree.body:
        name=None
        if isinstance(n,(ast.FunctionDef,ast.ClassDef)): name=n.name
        elif isinstance(n,(ast.Assign,ast.AnnAssign)):
            t=n.targets[0] if isinstance(n,ast.Assign) else n.target
            name=getattr(t,"id",None)
        if not name or name.startswith("_") or name in("setup","main"): continue
        inside=words[f][name]-1-(name in exported)
        if f.endswith("__init__.py") and exported: inside=words[f][name]-1
        # docstring uses of own name don't count: remove doc examples
        doc=ast.get_docstring(n) if isinstance(n,(ast.FunctionDef,ast.ClassDef)) else None
        if doc: inside-=len(re.findall(rf"\b{name}\b",doc))
        other=[g for g in texts if g!=f and words[g][name] and not g.startswith("tests/") and g!="CHANGELOG.md"
               and not (g.endswith("__init__.py") and g.split("/")[0]==f.split("/")[0]=="companion")]
        if inside<=0 and not other:
            tests=[g for g in texts if g.startswith("tests/") and words[g][name]]
            print(f"{f}:{n.lineno} {name}  tests:{len(tests)} {tests[:2]}")
