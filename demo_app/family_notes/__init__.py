"""Family notes: notes and lists that a family shares without a server that anyone has to trust.

An app that shows what peerstack is for. Read it in this order:

- `model`: what a note and an item of a list are, as records;
- `notebook`: what can be done with the notes of one group, by `peerstack.Group`;
- `desk`: the profile on this machine, from the first start to its end;
- `news` and `connection`: what pages are told while they are open, and in which words;
- `text`: Markdown that can do no harm;
- `transfer`: notes from and to other programs;
- `web`: the pages, and the walls around them.
"""
