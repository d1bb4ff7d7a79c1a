"""A small reader of DOT: what Graphviz would find in a source, or an assertion that fails."""

import re

TOKEN = re.compile(r'\s+|(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<word>[A-Za-z_][A-Za-z_0-9]*|-?\d+)|(?P<mark>->|[{}\[\]=;,])')


def tokens(source):
    """A DOT source cut into its tokens; fails on what is none."""
    place, found = 0, []
    while place < len(source):
        match = TOKEN.match(source, place)
        assert match, source[place : place + 40]
        if match.lastgroup:
            found.append((match.lastgroup, match[0]))
        place = match.end()
    return found


class Graph:
    """What a small reader of DOT finds: nodes, edges and clusters, by the grammar of the language."""

    def __init__(self, source):
        self.tokens, self.nodes, self.edges, self.clusters = tokens(source), {}, [], {}
        assert [self.take()[1] for _ in range(3)] == ["digraph", "tape", "{"]
        self.statements(None)
        assert not self.tokens

    def take(self):
        return self.tokens.pop(0)

    def statements(self, cluster):
        while (token := self.take())[1] != "}":
            if token[1] == "subgraph":
                name = self.take()[1]
                assert name.startswith('"cluster')
                assert self.take()[1] == "{"
                self.clusters[name] = {"inside": cluster, "nodes": []}
                self.statements(name)
            elif self.tokens[0][1] == "=":
                self.take()
                value = self.take()[1]
                if cluster:
                    self.clusters[cluster][token[1]] = value
            elif self.tokens[0][1] == "->":
                self.take()
                self.edges.append((token[1], self.take()[1], self.attributes()))
            else:
                self.nodes[token[1]] = self.attributes()
                if cluster:
                    self.clusters[cluster]["nodes"].append(token[1])

    def attributes(self):
        found = {}
        if self.tokens[0][1] == "[":
            self.take()
            while (name := self.take())[1] != "]":
                assert self.take()[1] == "="
                found[name[1]] = self.take()[1]
        return found
