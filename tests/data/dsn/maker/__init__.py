"""How the delivery status notifications of this directory are made; generate.py is the way in.

cases.py says what is sent, fates.py what happens to it, receiver.py makes it happen, world.py keeps
it away from the machine, servers*.py run one mail server each, truth.py writes down what came back.
"""
