_base_ = './refcoco.py'
data_root = 'data/refclef'
image_dir = '../saiapr_tc-12'  # seen from data_root

dataset = dict(type='RefCLEFDataset', data_root=data_root, data_prefix=dict(img_path=image_dir))
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dict(**dataset, split='testA'))
