"""Read YAML as version 1.2 has it: `on` and `no` are words, and no key may be there twice."""

import re

import yaml

_BOOLEAN, _TIMESTAMP = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp"


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, without what YAML 1.1 alone takes for booleans and times."""

    yaml_implicit_resolvers = {  # PyYAML's name, and a class attribute there, too
        first: [one for one in found if one[0] not in (_BOOLEAN, _TIMESTAMP)]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        """Make a dict of a mapping. Raises MarkedYAMLError for a key that is there twice."""
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.MarkedYAMLError(
                        problem="a key is there twice: remove one", problem_mark=key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(_BOOLEAN, re.compile(r"true|True|TRUE|false|False|FALSE"), "tTfF")


def load(text: str) -> object:
    """Read one document. Raises YAMLError."""
    return yaml.load(text, _Loader)  # noqa: S506  # a safe loader
