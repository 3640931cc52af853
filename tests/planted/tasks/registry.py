"""Every planted network of a task, by name; each with a fault names its healthy twin."""

from tests.planted.tasks import detector, embedding, recurrent, regression, several_outputs, spectral, unet
from tests.planted.tasks.task_network import TaskNetwork

TASK_NETWORKS: dict[str, TaskNetwork] = {
    network.name: network
    for module in (detector, unet, regression, embedding, several_outputs, recurrent, spectral)
    for network in module.NETWORKS
}

FAULTY = tuple(name for name, network in TASK_NETWORKS.items() if not network.is_healthy)
HEALTHY = tuple(name for name, network in TASK_NETWORKS.items() if network.is_healthy)
